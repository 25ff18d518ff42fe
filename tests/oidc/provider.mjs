// A certified provider of OpenID Connect, with its pages for development: whoever has a name is let in.
// Usage: node provider.mjs PORT APP, where APP is the URL by which browsers know the proxy.

import { readFileSync } from "node:fs";
import { Provider } from "oidc-provider";

const [port, app] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "shop",
      client_secret: readFileSync("client-secret", "utf8").trim(),
      redirect_uris: [`${app}/oauth2/callback`],
      post_logout_redirect_uris: [`${app}/oauth2/logout`],
    },
  ],
  cookies: { keys: ["for a test only"] },
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  // Its default: what the scopes stand for is told at the endpoint for it, not in the ID token.
  conformIdTokenClaims: true,
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true }),
  }),
});
provider.on("server_error", (_, error) => console.error(error));
provider.on("grant.error", (_, error) => console.error(error.message));
provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
