// npm `oidc-provider` with one client and one resource server, whose access tokens are JWTs signed with RS256.
import cluster from "node:cluster";
import { generateKeyPairSync } from "node:crypto";
import { pathToFileURL } from "node:url";

const orders = JSON.parse(process.argv[2]);

function privateKey() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return JSON.stringify({ ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256" });
}

async function serve(jwk) {
  const { default: Provider } = await import(pathToFileURL(orders.module).href);
  const [client_id, client_secret] = orders.client;
  const provider = new Provider(`http://localhost:${orders.port}`, {
    jwks: { keys: [JSON.parse(jwk)] },
    cookies: { keys: ["of no use here"] },
    scopes: [orders.scope],
    clients: [
      {
        client_id,
        client_secret,
        grant_types: ["client_credentials"],
        response_types: [],
        redirect_uris: [],
        token_endpoint_auth_method: "client_secret_basic",
      },
    ],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: orders.scope,
          audience: orders.audience,
          accessTokenTTL: 900,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  });
  provider.listen(orders.port, "127.0.0.1");
}

if (orders.processes === 1) {
  await serve(privateKey());
} else if (cluster.isPrimary) {
  const jwk = privateKey();
  for (let started = 0; started < orders.processes; started += 1) cluster.fork({ JWK: jwk });
} else {
  await serve(process.env.JWK);
}
