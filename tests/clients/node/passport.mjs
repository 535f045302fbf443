// An Express application with passport-openidconnect, as its README shows it.

import express from "express";
import session from "express-session";
import passport from "passport";
import OpenIDConnectStrategy from "passport-openidconnect";
import { ask, options, play } from "./script.mjs";

/** States that together have every printable ASCII character, at the start, the end, and between. */
class EveryLetter {
  #count = 0;
  #waiting = new Map();

  store(request, context, appState, meta, callback) {
    const letters = Array.from({ length: 95 }, (_, index) => 32 + ((index + this.#count) % 95));
    const handle = String.fromCharCode(...letters) + this.#count++;
    this.#waiting.set(handle, context);
    callback(null, handle);
  }

  verify(request, handle, callback) {
    const context = this.#waiting.get(handle);
    this.#waiting.delete(handle);
    if (context) callback(null, context, undefined);
    else callback(null, false, { message: "Invalid authorization request state." });
  }
}

/** Serve the application until the test has logged in as often as it likes. */
async function serve(more) {
  // passport-openidconnect reads no discovery document.
  const response = await fetch(`${options.issuer}/.well-known/openid-configuration`);
  const metadata = await response.json();
  passport.use(
    new OpenIDConnectStrategy(
      {
        issuer: metadata.issuer,
        authorizationURL: metadata.authorization_endpoint,
        tokenURL: metadata.token_endpoint,
        userInfoURL: metadata.userinfo_endpoint,
        clientID: "web",
        clientSecret: options.secret,
        callbackURL: "/callback",
        scope: ["profile", "email"],
        nonce: true,
        // Without it, the profile is read from the ID token alone.
        skipUserProfile: false,
        ...more,
      },
      (issuer, profile, done) => done(null, { id: profile.id, name: profile.displayName }),
    ),
  );
  const app = express();
  app.use(session({ secret: "keyboard cat", resave: false, saveUninitialized: false }));
  app.get("/login", passport.authenticate("openidconnect"));
  app.get(
    "/callback",
    passport.authenticate("openidconnect", { session: false, failWithError: true }),
    (request, response) => response.json(request.user),
  );
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  await ask("listening", `http://127.0.0.1:${server.address().port}`);
  server.closeAllConnections();
  server.close();
}

await play({
  session: () => serve({}),
  every_letter: () => serve({ store: new EveryLetter() }),
});
