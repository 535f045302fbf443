// openid-client 6, used as its README says.

import * as client from "openid-client";
import { discovered, logIn } from "./relying_party.mjs";
import { ask, options, play, refusal } from "./script.mjs";

const { secret } = options;

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
    const tokens = await logIn(await discovered(), { parameters: { response_mode: "form_post" } });
    return tokens.claims().sub;
  },

  async silent() {
    return refusal(logIn(await discovered(), { parameters: { prompt: "none" } }));
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
