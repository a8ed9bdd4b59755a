"""docs/verify/jose.md"""

import contextlib
from collections.abc import AsyncIterator

from tests.interop import programs
from tests.interop.pages import files_of, fitted
from tests.interop.recipes.asked_program import library
from tests.interop.recipes.recipe import Place, Recipe, Verifier

_PAGE = "jose.md"
_ASK = """
import { createInterface } from 'node:readline'
import { verify } from './verify.mjs'

for await (const token of createInterface({ input: process.stdin })) {
  console.log(await verify(token).then(() => 'accepted', (error) => `${error.code} ${error.message}`))
}
"""


@contextlib.asynccontextmanager
async def _open(place: Place) -> AsyncIterator[Verifier]:
    changes = {
        "https://id.example.com": place.issuer,
        "https://api.example.com": place.audience,
        "cacheMaxAge: 300_000": f"cacheMaxAge: {place.cache * 1000}",
    }
    (place.folder / "verify.mjs").write_text(fitted(files_of(_PAGE)["verify.mjs"], changes))
    (place.folder / "ask.mjs").write_text(_ASK)
    modules = place.folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(await programs.node_modules())
    trust = {"NODE_EXTRA_CA_CERTS": str(place.authority)}
    async with library(programs.found("node"), "ask.mjs", folder=place.folder, environment=trust) as verifier:
        yield verifier


JOSE = Recipe(
    name="jose",
    page=_PAGE,
    open=_open,
    leeway=30,
    outlasts_cache=False,
    outlasts_restart=False,
    is_led_to_fetch=False,
    cheap=True,
)
