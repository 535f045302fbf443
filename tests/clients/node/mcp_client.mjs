// The two MCP clients for JavaScript, with a provider as their documentation shows it.

import { ask, options, play } from "./script.mjs";

/** Return the parts of a package; version 1 has them in several modules. */
async function load() {
  if (options.package === "@modelcontextprotocol/client") return import("@modelcontextprotocol/client");
  return {
    ...(await import("@modelcontextprotocol/sdk/client/auth.js")),
    ...(await import("@modelcontextprotocol/sdk/client/index.js")),
    ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
  };
}

const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await load();
const url = new URL(options.url);

/** What an application keeps of a login. */
class Provider {
  redirectUrl = "http://localhost:8090/callback";
  clientMetadataUrl = options.document;
  clientMetadata = {
    client_name: "Agent",
    redirect_uris: [this.redirectUrl],
    ...options.metadata,
  };

  clientInformation() {
    return this.client;
  }
  saveClientInformation(client) {
    this.client = client;
  }
  tokens() {
    return this.stored;
  }
  saveTokens(tokens) {
    this.stored = tokens;
  }
  state() {
    this.lastState = crypto.randomUUID();
    return this.lastState;
  }
  redirectToAuthorization(authorizationUrl) {
    this.authorizationUrl = authorizationUrl;
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  codeVerifier() {
    return this.verifier;
  }
  invalidateCredentials(scope) {
    if (scope === "all" || scope === "client") this.client = undefined;
    if (scope === "all" || scope === "tokens") this.stored = undefined;
  }
}

const provider = new Provider();
let transport;

/** Finish the login that the transport began. */
async function logIn() {
  const back = new URL(await ask("browse", provider.authorizationUrl.href));
  if (back.searchParams.get("state") !== provider.lastState) throw new Error("another state");
  // Version 1 does not read `iss`.
  const isFirst = options.package === "@modelcontextprotocol/sdk";
  await transport.finishAuth(isFirst ? back.searchParams.get("code") : back.searchParams);
}

/** Return a client that has a session. After a login it needs a new transport, and a new session. */
async function connected() {
  transport = new StreamableHTTPClientTransport(url, { authProvider: provider });
  const client = new Client({ name: "agent", version: "1.0.0" });
  try {
    await client.connect(transport);
    return client;
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await logIn();
    return connected();
  }
}

await play({
  /** Return the name of the error that ends the login. */
  async refuse() {
    try {
      await connected();
    } catch (error) {
      return error.constructor.name;
    }
    throw new Error("the response was accepted");
  },

  // Call the tool as often as the test says; between the calls, the test changes the server.
  async call() {
    let client = await connected();
    const users = [];
    const tokens = [];
    while (users.length < options.calls) {
      try {
        const result = await client.callTool({ name: "whoami" });
        users.push(result.content[0].text);
        tokens.push(provider.stored);
        if (users.length < options.calls) await ask("between", provider.stored);
      } catch (error) {
        if (!(error instanceof UnauthorizedError)) throw error;
        await logIn();
        await client.close();
        client = await connected();
      }
    }
    await client.close();
    return { users, tokens };
  },
});
