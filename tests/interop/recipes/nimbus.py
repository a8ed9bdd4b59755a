"""docs/verify/nimbus.md"""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from tests.interop import programs
from tests.interop.pages import files_of, fitted
from tests.interop.recipes.asked_program import library
from tests.interop.recipes.recipe import Place, Recipe, Verifier

_PAGE = "nimbus.md"
_MODULE = Path(__file__).parent / "nimbus"
_CLASSES = os.pathsep.join([".", "lib/*"])
_TRUST, _PASSWORD = "trust.p12", "changeit"


@contextlib.asynccontextmanager
async def _open(place: Place) -> AsyncIterator[Verifier]:
    java = programs.found("java")
    if not (place.folder / "Ask.class").exists():
        await _build(place)
    options = (f"-Djavax.net.ssl.trustStore={_TRUST}", f"-Djavax.net.ssl.trustStorePassword={_PASSWORD}")
    async with library(java, *options, "-cp", _CLASSES, "Ask", folder=place.folder) as verifier:
        yield verifier


async def _build(place: Place) -> None:
    javac, keytool, maven = (programs.found(name) for name in ("javac", "keytool", "mvn"))
    folder = place.folder
    shutil.copytree(_MODULE, folder, dirs_exist_ok=True)
    changes = {
        "https://id.example.com": place.issuer,
        "https://api.example.com": place.audience,
        "cache(300_000": f"cache({place.cache}_000",
        "rateLimited(30_000)": f"rateLimited({place.cache * 100})",  # it must be less than the other
    }
    (folder / "Verify.java").write_text(fitted(files_of(_PAGE)["Verify.java"], changes))
    trust = ("-file", place.authority, "-keystore", _TRUST, "-storepass", _PASSWORD)
    await programs.obtain(keytool, "-importcert", "-noprompt", *trust, cwd=folder)
    await programs.obtain(maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", cwd=folder)
    async with programs.running(javac, "-cp", _CLASSES, "Ask.java", "Verify.java", cwd=folder) as build:
        assert await build.wait() == 0, "what the page shows does not compile"


NIMBUS = Recipe(
    name="Nimbus",
    page=_PAGE,
    open=_open,
    leeway=30,
    outlasts_cache=True,
    outlasts_restart=False,
    is_led_to_fetch=False,
)
