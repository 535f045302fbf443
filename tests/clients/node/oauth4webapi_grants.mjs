// oauth4webapi 3 with tokens that no login brings, and with what a resource does with a proof.

import * as oauth from "oauth4webapi";
import { ask, options, play } from "./script.mjs";

const redirect_uri = "http://127.0.0.1:3000/callback";
const http = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(options.issuer);
const found = await oauth.discoveryRequest(issuer, { ...http, algorithm: "oauth2" });
const server = await oauth.processDiscoveryResponse(issuer, found);

/** Return a way to authenticate with a key (RFC 7523 section 2.2). */
async function keyed({ kid, ...jwk }) {
  const algorithm = { name: "ECDSA", namedCurve: jwk.crv };
  const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]);
  return oauth.PrivateKeyJwt({ key, kid });
}

/** Call, and call again if the first response has a nonce for the proof (RFC 9449 section 8). */
async function proven(call) {
  try {
    return await call();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return call();
  }
}

/** Return the error of a refused request. */
async function refused(response) {
  return response.then(
    () => null,
    ({ error }) => error,
  );
}

/** Push an authorization request, and return the tokens of the user who logged in. */
async function pushed(client, authentication, with_) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const parameters = {
    client_id: client.client_id,
    redirect_uri,
    response_type: "code",
    scope: options.scope,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  };
  const { request_uri } = await proven(async () => oauth.processPushedAuthorizationResponse(
    server,
    client,
    await oauth.pushedAuthorizationRequest(server, client, authentication, parameters, with_),
  ));
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({ client_id: client.client_id, request_uri });
  const back = new URL(await ask("browse", url.href));
  const answer = oauth.validateAuthResponse(server, client, back, state);
  return proven(async () => oauth.processAuthorizationCodeResponse(
    server,
    client,
    await oauth.authorizationCodeGrantRequest(
      server, client, authentication, answer, redirect_uri, verifier, with_,
    ),
  ));
}

/** Poll once, as a device does. */
async function polled(client, { device_code }) {
  const { None } = oauth;
  const response = await oauth.deviceCodeGrantRequest(server, client, None(), device_code, http);
  return oauth.processDeviceCodeResponse(server, client, response);
}

/** Request a token with a grant type that has no function of its own. */
async function generic(grantType, parameters, recognizedTokenTypes) {
  const client = { client_id: "web" };
  const authentication = oauth.ClientSecretBasic(options.secret);
  const response = await oauth.genericTokenEndpointRequest(
    server, client, authentication, grantType, parameters, http,
  );
  const read = { recognizedTokenTypes };
  return oauth.processGenericTokenEndpointResponse(server, client, response, read);
}

await play({
  // A key authenticates the client, and another is proven; then the resource reads the proof.
  async judged() {
    const client = { client_id: "service" };
    const authentication = await keyed(options.key);
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
    const tokens = await pushed(client, authentication, { ...http, DPoP });
    const introspected = await oauth.processIntrospectionResponse(
      server,
      client,
      await oauth.introspectionRequest(server, client, authentication, tokens.access_token, http),
    );
    const sent = [];
    const note = (url, init) => sent.push(new Request(url, init)) && fetch(url, init);
    const url = new URL(options.resource);
    const call = { ...http, DPoP, [oauth.customFetch]: note };
    const { status } = await proven(() =>
      oauth.protectedResourceRequest(tokens.access_token, "GET", url, undefined, undefined, call));
    const judged = { ...http, requireDPoP: true };
    const claims = await oauth.validateJwtAccessToken(server, sent.at(-1), "service", judged);
    const jkt = await DPoP.calculateThumbprint();
    const bound = [introspected.cnf.jkt, claims.cnf.jkt].map((one) => one === jkt);
    return { status, type: tokens.token_type, bound, calls: sent.length };
  },

  // Time passes only when the test lets it, so each poll is at the interval.
  async device() {
    const client = { client_id: "phone" };
    const { scope } = options;
    const device = await oauth.processDeviceAuthorizationResponse(
      server,
      client,
      await oauth.deviceAuthorizationRequest(server, client, oauth.None(), { scope }, http),
    );
    await ask("advance", device.interval);
    const pending = await refused(polled(client, device));
    await ask("advance", device.interval);
    const slower = await refused(polled(client, device));
    await ask("advance", device.interval + 5);
    await ask("approve", device.user_code);
    const tokens = await polled(client, device);
    return { pending, slower, sub: oauth.getValidatedIdTokenClaims(tokens).sub };
  },

  async expired_device() {
    const client = { client_id: "phone" };
    const response = await oauth.deviceAuthorizationRequest(server, client, oauth.None(), {}, http);
    const device = await oauth.processDeviceAuthorizationResponse(server, client, response);
    await ask("advance", device.expires_in);
    return refused(polled(client, device));
  },

  async exchange() {
    const type = (name) => `urn:ietf:params:oauth:token-type:${name}`;
    const { subject_token, audience } = options;
    const parameters = { subject_token, subject_token_type: type("access_token"), audience };
    const grantType = "urn:ietf:params:oauth:grant-type:token-exchange";
    const token = await generic(grantType, parameters);
    const id_token = { ...parameters, requested_token_type: type("id_token") };
    const about = await generic(grantType, id_token, { n_a: () => {} });
    const request = new Request("http://127.0.0.1:3000/api", {
      headers: { authorization: `Bearer ${token.access_token}` },
    });
    const { sub, aud, client_id } = await oauth.validateJwtAccessToken(server, request, audience, http);
    return { sub, aud, client_id, types: [token, about].map((one) => one.issued_token_type) };
  },

  async bearer() {
    const { assertion } = options;
    const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    return (await generic(grantType, { assertion, scope: "email" })).scope;
  },

  // From the URL of a resource to the metadata of its server (RFC 9728).
  async resource() {
    const url = new URL(options.resource);
    const response = await oauth.resourceDiscoveryRequest(url, http);
    return (await oauth.processResourceDiscoveryResponse(url, response)).authorization_servers;
  },

  async registered() {
    const metadata = {
      redirect_uris: [redirect_uri],
      token_endpoint_auth_method: "private_key_jwt",
      jwks: { keys: [options.public_key] },
      require_pushed_authorization_requests: true,
    };
    const request = await oauth.dynamicClientRegistrationRequest(server, metadata, http);
    const client = await oauth.processDynamicClientRegistrationResponse(request);
    const tokens = await pushed(client, await keyed(options.key), http);
    return oauth.getValidatedIdTokenClaims(tokens).aud === client.client_id;
  },
});
