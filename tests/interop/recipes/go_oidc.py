"""docs/verify/go-oidc.md"""

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from tests.interop import programs
from tests.interop.pages import files_of, fitted
from tests.interop.recipes.asked_program import library
from tests.interop.recipes.recipe import Place, Recipe, Verifier

_PAGE = "go-oidc.md"

_MODULE = Path(__file__).parent / "go_oidc"


@contextlib.asynccontextmanager
async def _open(place: Place) -> AsyncIterator[Verifier]:
    go = programs.found("go")
    shutil.copytree(_MODULE, place.folder, dirs_exist_ok=True)
    changes = {"https://id.example.com": place.issuer, "https://api.example.com": place.audience}
    (place.folder / "verify.go").write_text(fitted(files_of(_PAGE)["verify.go"], changes))
    await programs.obtain(go, "mod", "download", cwd=place.folder)
    async with programs.running(go, "build", "-o", "verify", ".", cwd=place.folder) as build:
        assert await build.wait() == 0, "what the page shows does not compile"
    trust = {"SSL_CERT_FILE": str(place.authority)}
    async with library(place.folder / "verify", folder=place.folder, environment=trust) as verifier:
        yield verifier


GO_OIDC = Recipe(
    name="go-oidc",
    page=_PAGE,
    open=_open,
    blind=frozenset({"type: JWT"}),
    leeway=0,
    outlasts_cache=True,
    outlasts_restart=False,
    is_led_to_fetch=True,
)
