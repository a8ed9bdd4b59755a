// Logs in, refreshes and uses the token, all bound to a key (RFC 9449), as a public client in Node would; then as a
// thief without that key. Prints what happened, as JSON.
// Usage: node dpop.mjs ISSUER CLIENT_ID USERNAME PASSWORD
import * as oauth from "oauth4webapi";

const [issuer, client_id, username, password] = process.argv.slice(2);
const insecure = { [oauth.allowInsecureRequests]: true };
const discovery = await oauth.discoveryRequest(new URL(issuer), { algorithm: "oauth2", ...insecure });
const server = await oauth.processDiscoveryResponse(new URL(issuer), discovery);
const client = { client_id };
const prover = async (alg) => oauth.DPoP(client, await oauth.generateKeyPair(alg));

let wantedNonces = 0;
async function twice(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    wantedNonces += 1;
    return await attempt();
  }
}

const logIn = (DPoP) => twice(async () => {
  const form = { username, password };
  const answer = await oauth.genericTokenEndpointRequest(
    server, client, oauth.None(), "password", form, { DPoP, ...insecure },
  );
  return oauth.processGenericTokenEndpointResponse(server, client, answer);
});

const refresh = (token, DPoP) => twice(async () => {
  const answer = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), token, { DPoP, ...insecure });
  return oauth.processRefreshTokenResponse(server, client, answer);
});

const me = (token, DPoP) => twice(async () => {
  const answer = await oauth.protectedResourceRequest(
    token, "GET", new URL(`${issuer}/users/me`), undefined, undefined, { DPoP, ...insecure },
  );
  return answer.json();
});

const refused = (attempt) => attempt.then(() => "accepted", (error) => error.error ?? error.cause[0].parameters.error);

const owner = await prover("ES256");
const first = await logIn(owner);
const second = await refresh(first.refresh_token, owner);
const person = await me(second.access_token, owner);
const answer = {
  algs: server.dpop_signing_alg_values_supported,
  token_types: [first.token_type, second.token_type],
  person: person.id,
  wanted_nonces: wantedNonces,
  thief: {
    refresh: await refused(refresh(second.refresh_token, await prover("ES256"))),
    use: await refused(me(second.access_token, await prover("ES256"))),
    bearer: await refused(me(second.access_token, undefined)),
  },
  owner_goes_on: (await refresh(second.refresh_token, owner)).token_type,
};
console.log(JSON.stringify(answer));
