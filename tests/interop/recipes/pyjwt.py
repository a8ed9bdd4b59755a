"""docs/verify/pyjwt.md"""

import contextlib
import sys
from collections.abc import AsyncIterator

from tests.interop.pages import files_of, fitted
from tests.interop.recipes.asked_program import library
from tests.interop.recipes.recipe import Place, Recipe, Verifier

_PAGE = "pyjwt.md"
_ASK = """
import sys
from verify import jwt, verify

for token in sys.stdin:
    try:
        verify(token.strip())
        print("accepted", flush=True)
    except jwt.PyJWTError as error:
        print(repr(error), flush=True)
"""


@contextlib.asynccontextmanager
async def _open(place: Place) -> AsyncIterator[Verifier]:
    changes = {
        "https://id.example.com": place.issuer,
        "https://api.example.com": place.audience,
        "lifespan=300": f"lifespan={place.cache}",
    }
    (place.folder / "verify.py").write_text(fitted(files_of(_PAGE)["verify.py"], changes))
    trust = {"SSL_CERT_FILE": str(place.authority)}
    async with library(sys.executable, "-c", _ASK, folder=place.folder, environment=trust) as verifier:
        yield verifier


PYJWT = Recipe(
    name="PyJWT",
    page=_PAGE,
    open=_open,
    leeway=30,
    outlasts_cache=False,
    outlasts_restart=False,
    is_led_to_fetch=False,
    cheap=True,
)
