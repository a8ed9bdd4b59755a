// Reads one token a line, and answers each with "accepted" or the code of jose's error.
import { createInterface } from 'node:readline'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [jwksUri, issuer, audience, maxAge, skew] = process.argv.slice(2)
const keys = createRemoteJWKSet(new URL(jwksUri), {
  cacheMaxAge: Number(maxAge) * 1000,
  cooldownDuration: 3600_000, // an unknown kid causes no fetch: only the end of the cache does
})

for await (const token of createInterface({ input: process.stdin })) {
  const verdict = await jwtVerify(token, keys, {
    issuer,
    audience,
    typ: 'at+jwt',
    algorithms: ['RS256'],
    clockTolerance: Number(skew),
  }).then(() => 'accepted', (error) => error.code ?? String(error))
  console.log(verdict)
}
