"""glewlwyd, an OpenID provider in C, on PostgreSQL: used where Debian's package is installed."""

import asyncio
import gzip
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bench.benchmark import Missing
from bench.contestants import CLIENT, SCOPE, Contestant
from bench.contestants.installing import program
from bench.ground import Ground
from bench.load import Request, form
from bench.servers import Asked, Server, free_port, started

_ADVICE = "install Debian's package of that name"
_SCHEMA = Path("/usr/share/doc/glewlwyd/database/init.postgre.sql.gz")
_MODULES = Path("/usr/lib/glewlwyd")
_KEYS = Request("GET", "/api/oidc/jwks")
_ASKED = Asked(
    token=form("/api/oidc/token", CLIENT, grant_type="client_credentials", scope=SCOPE), keys=_KEYS, cheap=_KEYS
)

# The schema wants pgcrypto, which the embedded PostgreSQL lacks, for the one password that nobody uses here.
_NEEDS_PGCRYPTO = re.compile(r"^.*(create extension|crypt\().*$", re.IGNORECASE | re.MULTILINE)


@contextmanager
def _start(ground: Ground) -> Iterator[Server]:
    glewlwyd = program("glewlwyd", _ADVICE)
    if not _SCHEMA.exists():
        raise Missing(f"its package has no {_SCHEMA}")
    port, dsn = free_port(), ground.database("glewlwyd")
    schema = _NEEDS_PGCRYPTO.sub("", gzip.decompress(_SCHEMA.read_bytes()).decode())
    asyncio.run(_prepare(dsn, schema, _plugin(port)))
    configuration = ground.folder / "glewlwyd.conf"
    configuration.write_text(_configuration(dsn, port))
    command = [glewlwyd, "--config-file", str(configuration)]
    with started(GLEWLWYD.name, command, _ASKED, port=port, folder=ground.folder) as server:
        yield server


def version() -> str:
    """As it says itself."""
    command = [program("glewlwyd", _ADVICE), "--version"]
    return f"glewlwyd {subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()}"


async def _prepare(dsn: str, schema: str, plugin: dict[str, object]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(schema)
        await connection.execute(
            """insert into g_plugin_module_instance (gpmi_module, gpmi_name, gpmi_display_name, gpmi_parameters)
               values ('oidc', 'oidc', 'oidc', $1)""",
            json.dumps(plugin),
        )
        await _add_client(connection)
    finally:
        await connection.close()


async def _add_client(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    client_id, secret = CLIENT
    number = await connection.fetchval(
        "insert into g_client (gc_client_id, gc_name, gc_confidential) values ($1, 'benchmarks', 1) returning gc_id",
        client_id,
    )
    await connection.executemany(
        "insert into g_client_property (gc_id, gcp_name, gcp_value) values ($1, $2, $3)",
        [
            (number, "client_secret", secret),
            (number, "authorization_type", "client_credentials"),
            (number, "token_endpoint_auth_method", "client_secret_basic"),
        ],
    )
    await connection.execute("insert into g_scope (gs_name, gs_password_required) values ($1, 0)", SCOPE)
    scope = await connection.fetchval("insert into g_client_scope (gcs_name) values ($1) returning gcs_id", SCOPE)
    await connection.execute("insert into g_client_scope_client (gc_id, gcs_id) values ($1, $2)", number, scope)


def _plugin(port: int) -> dict[str, object]:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    grants = dict.fromkeys(["code", "token", "id-token", "none", "password", "refresh"], False)
    return {
        "iss": f"http://localhost:{port}",
        "jwt-type": "rsa",
        "jwt-key-size": "256",
        "key": _private_pem(key),
        "cert": _public_pem(key),
        "access-token-duration": 900,
        "refresh-token-duration": 1209600,
        "code-duration": 600,
        "refresh-token-rolling": True,
        "allow-non-oidc": True,
        "jwks-show": True,
        "auth-type-client-enabled": True,
        **{f"auth-type-{name}-enabled": enabled for name, enabled in grants.items()},
        "scope": [],
        "additional-parameters": [],
        "claims": [],
    }


def _private_pem(key: RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def _public_pem(key: RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _configuration(dsn: str, port: int) -> str:
    parts = urlsplit(dsn)
    where = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return f"""
port={port}
bind_address="127.0.0.1"
external_url="http://localhost:{port}/"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="WARNING"
cookie_secure=false
session_expiration=2419200
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="{_MODULES}/user"
client_module_path="{_MODULES}/client"
user_auth_scheme_module_path="{_MODULES}/scheme"
plugin_module_path="{_MODULES}/plugin"
hash_algorithm="SHA512"
database = {{
  type = "postgre"
  conninfo = "host={where["host"]} port={where["port"]} user={parts.username} dbname={parts.path[1:]}"
}}
"""


GLEWLWYD = Contestant("glewlwyd", _start)
