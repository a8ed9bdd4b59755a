"""docs/verify/apache.md"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.interop import programs
from tests.interop.pages import files_of, fitted
from tests.interop.recipes.gateway import gateway, service
from tests.interop.recipes.recipe import Place, Recipe, Verifier
from tests.rotation.installation import free_port

_PAGE = "apache.md"

_MODULES = Path("/usr/lib/apache2/modules")
_SERVER = """\
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/apache.pid
User nobody
Group nogroup
ErrorLog /dev/stderr
{modules}
ProxyPass / http://127.0.0.1:{service}/
{recipe}
"""


@contextlib.asynccontextmanager
async def _open(place: Place) -> AsyncIterator[Verifier]:
    program = programs.found("apache2")
    names = ("mpm_event", "authn_core", "authz_core", "proxy", "proxy_http", "oauth2")
    if not (_MODULES / "mod_oauth2.so").exists():
        raise programs.Missing("mod_oauth2 is not installed")
    port = free_port()
    configuration = place.folder / "apache.conf"
    async with service() as service_port:
        # libcurl, which fetches the keys, takes no word on whom to trust: the https address is a plain one here.
        changes = {
            "https://id.example.com/.well-known": f"{place.plain_issuer}/.well-known",
            "https://id.example.com": place.issuer,
            "https://api.example.com": place.audience,
            "jwks_uri.expiry=300": f"jwks_uri.expiry={place.cache}",
        }
        configuration.write_text(
            _SERVER.format(
                port=port,
                folder=place.folder,
                modules="\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in names),
                service=service_port,
                recipe=fitted(files_of(_PAGE)["idp.conf"], changes),
            )
        )
        async with (
            programs.running(program, "-f", configuration, "-DFOREGROUND", cwd=place.folder) as process,
            gateway(port, lambda: process.returncode is None) as verifier,
        ):
            yield verifier


APACHE = Recipe(
    name="Apache",
    page=_PAGE,
    open=_open,
    blind=frozenset({"type: JWT", "not yet valid"}),
    leeway=0,
    outlasts_cache=False,
    outlasts_restart=False,
    is_led_to_fetch=True,
)
