// An MCP server of @modelcontextprotocol/sdk: it verifies access tokens (RFC 9068), and its second
// call needs one more scope.

import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import { InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js";
import {
  getOAuthProtectedResourceMetadataUrl,
  mcpAuthMetadataRouter,
} from "@modelcontextprotocol/sdk/server/auth/router.js";
import express from "express";
import * as oauth from "oauth4webapi";
import { ask, options, play } from "./script.mjs";

const http = { [oauth.allowInsecureRequests]: true };
let requiredScopes = ["notes:read"];

/** Return what says whether a token is for this server. */
function verifier(url) {
  return {
    async verifyAccessToken(token) {
      const request = new Request(url, { headers: { authorization: `Bearer ${token}` } });
      try {
        const claims = await oauth.validateJwtAccessToken(options.metadata, request, url.href, http);
        return {
          token,
          clientId: claims.client_id,
          scopes: claims.scope.split(" "),
          expiresAt: claims.exp,
          resource: new URL(claims.aud),
          extra: { sub: claims.sub },
        };
      } catch (error) {
        throw new InvalidTokenError(error.message);
      }
    },
  };
}

/** Return a server with one tool; without sessions, each request has its own. */
function notes() {
  const server = new McpServer({ name: "notes", version: "1.0.0" });
  server.registerTool("whoami", { description: "Return the user" }, async ({ authInfo }) => {
    requiredScopes = ["notes:read", "notes:write"];
    return { content: [{ type: "text", text: authInfo.extra.sub }] };
  });
  return server;
}

await play({
  async serve() {
    const app = express();
    const listening = app.listen(0, "127.0.0.1");
    await new Promise((resolve) => listening.once("listening", resolve));
    const url = new URL(`http://127.0.0.1:${listening.address().port}/mcp`);
    const shared = { verifier: verifier(url), expectedResource: url };
    const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(url);
    app.use(
      mcpAuthMetadataRouter({
        oauthMetadata: options.metadata,
        resourceServerUrl: url,
        scopesSupported: requiredScopes,
      }),
    );
    app.use((request, response, next) =>
      requireBearerAuth({ ...shared, requiredScopes, resourceMetadataUrl })(request, response, next),
    );
    app.post("/mcp", express.json(), async (request, response) => {
      const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
      await notes().connect(transport);
      await transport.handleRequest(request, response, request.body);
    });
    app.use((_, response) => response.sendStatus(405));
    const answer = await ask("call", url.href);
    listening.close();
    listening.closeAllConnections();
    return answer;
  },
});
