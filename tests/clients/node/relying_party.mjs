// A relying party with openid-client 6: its configuration, and a login.

import * as client from "openid-client";
import { ask, options } from "./script.mjs";

export const redirect_uri = "http://127.0.0.1:3000/callback";
const { issuer, scope, secret } = options;

/** Return the configuration of a client, read from the discovery document. */
export function discovered(clientId = "web", authentication = client.ClientSecretBasic(secret)) {
  return client.discovery(new URL(issuer), clientId, undefined, authentication, {
    // Plain HTTP needs leave; and ID tokens are verified although they come from the server itself.
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
  });
}

/** Log in with PKCE, and return the tokens. */
export async function logIn(config, { parameters, checks, pushed = false, ...options } = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expectedState = client.randomState();
  const expectedNonce = client.randomNonce();
  const asked = {
    redirect_uri,
    scope,
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    ...parameters,
  };
  const url = pushed
    ? await client.buildAuthorizationUrlWithPAR(config, asked, options)
    : client.buildAuthorizationUrl(config, asked);
  const back = await returned(url, asked.response_mode);
  const expected = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
  return client.authorizationCodeGrant(config, back, { ...expected, ...checks }, undefined, options);
}

/** Return what the browser brings back from the authorization endpoint. */
async function returned(url, responseMode) {
  if (responseMode !== "form_post") return new URL(await ask("browse", url.href));
  const form = await ask("receive_form", url.href);
  return new Request(form.url, { method: "POST", body: new URLSearchParams(form.fields) });
}
