// openid-client 6 with tokens that no login brings: exchanged, for an assertion, and for itself.

import * as client from "openid-client";
import { discovered, logIn, redirect_uri } from "./relying_party.mjs";
import { options, play, refusal } from "./script.mjs";

const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const type = (name) => `urn:ietf:params:oauth:token-type:${name}`;
const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks];

/** Return a token of alice and how to exchange it. */
async function exchangeable() {
  const config = await discovered();
  const { access_token, id_token } = await logIn(config);
  const exchange = (parameters) => client.genericGrantRequest(config, EXCHANGE, {
    subject_token: access_token,
    subject_token_type: type("access_token"),
    ...parameters,
  });
  return { config, id_token, exchange };
}

await play({
  async exchange() {
    const { config, exchange } = await exchangeable();
    const { token_type, issued_token_type, access_token } = await exchange({ scope: "email" });
    const { sub, scope } = await client.tokenIntrospection(config, access_token);
    return { token_type, issued_token_type, sub, scope };
  },

  async exchange_for_id_token() {
    const { exchange } = await exchangeable();
    const requested_token_type = type("id_token");
    const { token_type, access_token } = await exchange({ requested_token_type, audience: "phone" });
    return { token_type, id_token: access_token };
  },

  async exchange_with_actor() {
    const { config, exchange } = await exchangeable();
    const actor = await client.clientCredentialsGrant(config);
    const { access_token } = await exchange({
      actor_token: actor.access_token,
      actor_token_type: type("access_token"),
    });
    return (await client.tokenIntrospection(config, access_token)).act;
  },

  async exchange_with_proof() {
    const config = await discovered();
    const { access_token } = await logIn(config);
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256"));
    const subject = { subject_token: access_token, subject_token_type: type("access_token") };
    const exchanged = await client.genericGrantRequest(config, EXCHANGE, subject, { DPoP });
    const { cnf } = await client.tokenIntrospection(config, exchanged.access_token);
    return { token_type: exchanged.token_type, bound: cnf.jkt === (await DPoP.calculateThumbprint()) };
  },

  async refused_exchange() {
    const { exchange } = await exchangeable();
    return refusal(exchange({ audience: "unknown" }));
  },

  async bearer() {
    const config = await discovered();
    const { assertion } = options;
    const tokens = await client.genericGrantRequest(config, BEARER, { assertion, scope: "openid" });
    const replayed = await refusal(client.genericGrantRequest(config, BEARER, { assertion }));
    return { sub: tokens.claims().sub, refreshes: "refresh_token" in tokens, replayed };
  },

  async secret_jwt() {
    const config = await discovered("signer", client.ClientSecretJwt(options.secret));
    const tokens = await logIn(config, { pushed: true });
    const second = await client.refreshTokenGrant(config, tokens.refresh_token);
    return (await client.tokenIntrospection(config, second.access_token)).client_id;
  },

  async registered() {
    const metadata = {
      client_name: "Registered",
      redirect_uris: [redirect_uri],
      grant_types: ["authorization_code", "refresh_token"],
      // It posts the secret by default, and a registration defaults to Basic (RFC 7591 section 2).
      token_endpoint_auth_method: "client_secret_post",
      dpop_bound_access_tokens: true,
    };
    const issuer = new URL(options.issuer);
    const more = { execute, initialAccessToken: options.token };
    const config = await client.dynamicClientRegistration(issuer, metadata, undefined, more);
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256"));
    const tokens = await logIn(config, { DPoP });
    const second = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
    return { registered: config.clientMetadata(), token_type: second.token_type };
  },

  async refused_registration() {
    const more = { execute };
    const metadata = { redirect_uris: [redirect_uri] };
    const issuer = new URL(options.issuer);
    return refusal(client.dynamicClientRegistration(issuer, metadata, undefined, more));
  },
});
