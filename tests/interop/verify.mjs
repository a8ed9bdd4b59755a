// Verifies each line of standard input as an access token, as a resource service in Node would, and says who it is.
// Usage: node verify.mjs ISSUER AUDIENCE
import { createInterface } from "node:readline";
import { createRemoteJWKSet, jwtVerify } from "jose";

const [issuer, audience] = process.argv.slice(2);
const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));

for await (const token of createInterface({ input: process.stdin })) {
  try {
    const options = { issuer, audience, typ: "at+jwt", algorithms: ["RS256"], requiredClaims: ["sub", "jti"] };
    const { payload } = await jwtVerify(token, keys, options);
    console.log(payload.sub);
  } catch (error) {
    console.log(`refused: ${error.code}`);
  }
}
