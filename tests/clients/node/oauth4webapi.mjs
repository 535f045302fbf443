// oauth4webapi 3, the strict reader under openid-client, used as its examples do.

import * as oauth from "oauth4webapi";
import { ask, options, play, refusal } from "./script.mjs";

const redirect_uri = "http://127.0.0.1:3000/callback";
const client = { client_id: "web" };
const authentication = oauth.ClientSecretBasic(options.secret);
const http = { [oauth.allowInsecureRequests]: true };

/** Return the metadata of the server: `oidc` or `oauth2` says which document has them. */
async function discovered(algorithm) {
  const issuer = new URL(options.issuer);
  const response = await oauth.discoveryRequest(issuer, { ...http, algorithm });
  return oauth.processDiscoveryResponse(issuer, response);
}

/** Log in with PKCE, and return the tokens. */
async function logIn(server) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const nonce = oauth.generateRandomNonce();
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri,
    response_type: "code",
    scope: options.scope,
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  });
  const back = new URL(await ask("browse", url.href));
  const response = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    authentication,
    oauth.validateAuthResponse(server, client, back, state),
    redirect_uri,
    verifier,
    http,
  );
  return oauth.processAuthorizationCodeResponse(server, client, response, {
    expectedNonce: nonce,
    requireIdToken: true,
  });
}

/** Log in, read the user's claims, and refresh. */
async function session(algorithm) {
  const server = await discovered(algorithm);
  const tokens = await logIn(server);
  const { sub } = oauth.getValidatedIdTokenClaims(tokens);
  const userinfo = await oauth.processUserInfoResponse(
    server,
    client,
    sub,
    await oauth.userInfoRequest(server, client, tokens.access_token, http),
  );
  await ask("advance", tokens.expires_in);
  const refreshed = await oauth.processRefreshTokenResponse(
    server,
    client,
    await oauth.refreshTokenGrantRequest(server, client, authentication, tokens.refresh_token, http),
  );
  return { userinfo, rotated: refreshed.refresh_token !== tokens.refresh_token };
}

/** Send a request with a proof, and once more if the server sends a nonce (RFC 9449 section 8). */
async function proven(DPoP, send, read) {
  try {
    return await read(await send({ ...http, DPoP }));
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return read(await send({ ...http, DPoP }));
  }
}

/** Push a request, and use its tokens, with one key for all proofs. */
async function bound() {
  const server = await discovered("oidc");
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const asked = new URLSearchParams({
    redirect_uri,
    response_type: "code",
    scope: options.scope,
    state,
    max_age: "600",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  });
  const { request_uri } = await proven(
    DPoP,
    (more) => oauth.pushedAuthorizationRequest(server, client, authentication, asked, more),
    (response) => oauth.processPushedAuthorizationResponse(server, client, response),
  );
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({ client_id: client.client_id, request_uri });
  const back = new URL(await ask("browse", url.href));
  const code = oauth.validateAuthResponse(server, client, back, state);
  const tokens = await proven(
    DPoP,
    (more) => oauth.authorizationCodeGrantRequest(
      server, client, authentication, code, redirect_uri, verifier, more,
    ),
    (response) => oauth.processAuthorizationCodeResponse(server, client, response, {
      maxAge: 600,
      requireIdToken: true,
    }),
  );
  const { sub } = oauth.getValidatedIdTokenClaims(tokens);
  const userinfo = await proven(
    DPoP,
    (more) => oauth.userInfoRequest(server, client, tokens.access_token, more),
    (response) => oauth.processUserInfoResponse(server, client, sub, response),
  );
  const resource = new URL(options.resource);
  const called = await proven(
    DPoP,
    (more) => oauth.protectedResourceRequest(
      tokens.access_token, "GET", resource, undefined, undefined, more,
    ),
    (response) => response.status,
  );
  return { type: tokens.token_type, userinfo, called };
}

/** Get tokens for a device that polls twice, with a key as its proof (RFC 7523 section 2.2). */
async function device() {
  const server = await discovered("oidc");
  const client = { client_id: "service" };
  const { kid, ...jwk } = options.key;
  const algorithm = { name: "ECDSA", namedCurve: jwk.crv };
  const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]);
  const authentication = oauth.PrivateKeyJwt({ key, kid });
  const asked = new URLSearchParams({ scope: options.scope });
  const { device_code, user_code } = await oauth.processDeviceAuthorizationResponse(
    server,
    client,
    await oauth.deviceAuthorizationRequest(server, client, authentication, asked, http),
  );
  const poll = async () => oauth.processDeviceCodeResponse(
    server,
    client,
    await oauth.deviceCodeGrantRequest(server, client, authentication, device_code, http),
  );
  const pending = await refusal(poll());
  await ask("approve", user_code);
  await ask("advance", 5);
  const tokens = await poll();
  return { pending: pending.error, sub: oauth.getValidatedIdTokenClaims(tokens).sub };
}

await play({
  bound,
  device,
  oidc: () => session("oidc"),
  oauth2: () => session("oauth2"),

  // What a resource server does with an access token (RFC 9068 section 4).
  async resource_server() {
    const server = await discovered("oauth2");
    const { access_token } = await logIn(server);
    const request = new Request("http://127.0.0.1:3000/api", {
      headers: { authorization: `Bearer ${access_token}` },
    });
    return oauth.validateJwtAccessToken(server, request, client.client_id, http);
  },
});
