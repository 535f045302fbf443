// openid-client 6 with what a server of the RFCs has beyond a login.

import * as client from "openid-client";
import { discovered, logIn } from "./relying_party.mjs";
import { ask, options, play, refusal } from "./script.mjs";

/** Return a way to authenticate with a key (RFC 7523 section 2.2). */
async function assertion({ kid, ...jwk }) {
  const algorithm = { name: "ECDSA", namedCurve: jwk.crv };
  const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]);
  return client.PrivateKeyJwt({ key, kid });
}

/** Return options that prove a new key with each request (RFC 9449). */
async function proof(config) {
  return { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256")) };
}

/** Log in, call userinfo and the resource, and refresh twice with the same key. */
async function bound(config, asked) {
  const dpop = await proof(config);
  const tokens = await logIn(config, { ...asked, ...dpop });
  const { sub } = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, dpop);
  const url = new URL(options.resource);
  const called = await client.fetchProtectedResource(
    config, tokens.access_token, url, "GET", null, undefined, dpop,
  );
  const second = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, dpop);
  const third = await client.refreshTokenGrant(config, second.refresh_token, undefined, dpop);
  return { type: third.token_type, sub, status: called.status, refresh_token: third.refresh_token };
}

await play({
  async pushed() {
    const tokens = await logIn(await discovered(), { pushed: true });
    return tokens.claims().sub;
  },

  dpop: async () => bound(await discovered("phone", client.None())),
  pushed_dpop: async () => bound(await discovered("phone", client.None()), { pushed: true }),

  async another_key() {
    const config = await discovered("phone", client.None());
    const { refresh_token } = await bound(config);
    return refusal(client.refreshTokenGrant(config, refresh_token, undefined, await proof(config)));
  },

  async assertion() {
    const config = await discovered("service", await assertion(options.key));
    const tokens = await logIn(config, { pushed: true });
    const second = await client.refreshTokenGrant(config, tokens.refresh_token);
    const { active } = await client.tokenIntrospection(config, second.access_token);
    await client.tokenRevocation(config, second.refresh_token);
    return { sub: tokens.claims().sub, active };
  },

  async device() {
    const config = await discovered("phone", client.None());
    const { scope } = options;
    const device = await client.initiateDeviceAuthorization(config, { scope });
    await ask(options.denied ? "deny" : "approve", device.user_code);
    const polled = client.pollDeviceAuthorizationGrant(config, device);
    return options.denied ? refusal(polled) : (await polled).claims().sub;
  },

  async logout() {
    const config = await discovered();
    const tokens = await logIn(config);
    const url = client.buildEndSessionUrl(config, {
      post_logout_redirect_uri: options.out,
      id_token_hint: tokens.id_token,
      state: "a+b/c d%2F",
    });
    return new URL(await ask("browse", url.href)).searchParams.get("state");
  },

  async max_age() {
    const config = await discovered();
    const recent = { parameters: { max_age: 600 }, checks: { maxAge: 600 } };
    const first = (await logIn(config, recent)).claims();
    await ask("advance", 700);
    const second = (await logIn(config, recent)).claims();
    return [first.auth_time, second.auth_time];
  },
});
