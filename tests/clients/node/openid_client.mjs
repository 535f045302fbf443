// openid-client 6, used as its README says.

import * as client from "openid-client";
import { ask, options, play, refusal } from "./script.mjs";

const redirect_uri = "http://127.0.0.1:3000/callback";
const { issuer, scope, secret } = options;

/** Return the configuration of a client, read from the discovery document. */
function discovered(clientId = "web", authentication = client.ClientSecretBasic(secret)) {
  return client.discovery(new URL(issuer), clientId, undefined, authentication, {
    // Plain HTTP needs leave; and ID tokens are verified although they come from the server itself.
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
  });
}

/** Log in with PKCE, and return the tokens. */
async function logIn(config, parameters = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expectedState = client.randomState();
  const expectedNonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri,
    scope,
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    ...parameters,
  });
  return client.authorizationCodeGrant(config, await returned(url), {
    pkceCodeVerifier,
    expectedState,
    expectedNonce,
    idTokenExpected: true,
  });
}

/** Return what the browser brings back from the authorization endpoint. */
async function returned(url) {
  if (url.searchParams.get("response_mode") !== "form_post") {
    return new URL(await ask("browse", url.href));
  }
  const form = await ask("receive_form", url.href);
  return new Request(form.url, { method: "POST", body: new URLSearchParams(form.fields) });
}

/** Log in, read the user's claims, and refresh twice, each time after the access token expired. */
async function session(config) {
  const first = await logIn(config);
  const { sub } = first.claims();
  const userinfo = await client.fetchUserInfo(config, first.access_token, sub);
  await ask("advance", first.expires_in);
  const second = await client.refreshTokenGrant(config, first.refresh_token);
  await ask("advance", second.expires_in);
  const third = await client.refreshTokenGrant(config, second.refresh_token);
  return {
    userinfo,
    scope: first.scope,
    rotated: new Set([first, second, third].map((tokens) => tokens.refresh_token)).size === 3,
    sub: third.claims().sub,
  };
}

await play({
  basic: async () => session(await discovered()),
  post: async () => session(await discovered("web", client.ClientSecretPost(secret))),
  none: async () => session(await discovered("phone", client.None())),

  async credentials() {
    const config = await discovered();
    const tokens = await client.clientCredentialsGrant(config, { scope: "email" });
    return { scope: tokens.scope, refresh_token: tokens.refresh_token };
  },

  async reuse() {
    const config = await discovered();
    const { refresh_token } = await logIn(config);
    await client.refreshTokenGrant(config, refresh_token);
    return refusal(client.refreshTokenGrant(config, refresh_token));
  },

  async form_post() {
    const tokens = await logIn(await discovered(), { response_mode: "form_post" });
    return tokens.claims().sub;
  },

  async silent() {
    return refusal(logIn(await discovered(), { prompt: "none" }));
  },

  async wrong_secret() {
    const config = await discovered("web", client.ClientSecretBasic("wrong"));
    return refusal(client.clientCredentialsGrant(config));
  },

  async revocation() {
    const config = await discovered();
    const tokens = await logIn(config);
    const before = await client.tokenIntrospection(config, tokens.access_token);
    await client.tokenRevocation(config, tokens.refresh_token);
    return {
      before,
      after: await client.tokenIntrospection(config, tokens.access_token),
      refresh: await refusal(client.refreshTokenGrant(config, tokens.refresh_token)),
      userinfo: await refusal(client.fetchUserInfo(config, tokens.access_token, "u-alice")),
    };
  },
});
