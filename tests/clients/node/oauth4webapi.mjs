// oauth4webapi 3, the strict reader under openid-client, used as its examples do.

import * as oauth from "oauth4webapi";
import { ask, options, play } from "./script.mjs";

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

await play({
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
