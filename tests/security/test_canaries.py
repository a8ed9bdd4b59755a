"""L1: no secret in any log, metric or error, and none in a dump of the database.

A real process is given secrets that can be recognised, they are sent through every endpoint, in the right places and in
wrong ones, and then looked for, as they are and encoded, in all that came out of it.
"""

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import asyncpg
import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from idp.cli.directories import directories
from idp.protocol.assertion import CLIENT_ASSERTION_TYPE, JWT_BEARER
from idp.protocol.audit import OPERATOR
from idp.protocol.client import Client
from idp.protocol.token_exchange import ACCESS_TOKEN, TOKEN_EXCHANGE
from keys.sealing import Sealed, Sealer, SealingKey
from tests import builders
from tests.asserting import KeyedClient, Workload, keyed_client
from tests.contract.asking import bearer
from tests.contract.exchanging import ORDERS
from tests.contract.test_jwt_bearer import workload
from tests.dpop.proving import Prover
from tests.operation.serving import environment, serving, settings_of
from tests.service import DEFAULT_CLIENT


@dataclass
class Canaries:
    """The secrets of one run, by what they are."""

    key_encryption_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    by_name: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_name["key-encryption key"] = self.key_encryption_key

    def new(self, name: str) -> str:
        return self.know(name, f"canary-{secrets.token_urlsafe(24)}")

    def know(self, name: str, secret: str) -> str:
        self.by_name[name] = secret.encode()
        return secret

    def found_in(self, text: str) -> set[str]:
        """The names of the secrets that `text` shows."""
        lowered = text.lower()
        return {name for name, secret in self.by_name.items() if any(form.lower() in lowered for form in forms(secret))}


def forms(secret: bytes) -> Iterator[str]:
    """The ways in which a secret could be written. Base64 has three, by what stands before."""
    yield secret.hex()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret)[(4 if shift else 0) : -4].decode()
        yield encoded
        yield encoded.replace("+", "-").replace("/", "_")
    if secret.isascii():
        plain = secret.decode()
        yield from {plain, quote(plain, safe=""), quote_plus(plain)}


def test_the_search_finds_what_is_there() -> None:
    canaries = Canaries()
    secret = canaries.new("a secret")
    key = canaries.key_encryption_key
    basic = base64.b64encode(f"client:{secret}".encode()).decode()
    for text in (f"x{secret}x", secret.encode().hex().upper(), basic, quote(secret)):
        assert canaries.found_in(text) == {"a secret"}, text
    assert canaries.found_in(key.hex()) == canaries.found_in(base64.urlsafe_b64encode(key).decode())
    assert canaries.found_in(key.hex()) == {"key-encryption key"}
    assert canaries.found_in("nothing") == set()


class Requests:
    """Sends secrets everywhere, and keeps what came back as an error."""

    def __init__(self, http: httpx.Client, canaries: Canaries) -> None:
        self._http = http
        self._canaries = canaries
        self.errors: list[str] = []

    def send(self, method: str, path: str, **request: object) -> httpx.Response:
        answer = self._http.request(method, path, **request)  # type: ignore[arg-type]
        if answer.is_error:
            self.errors.append(f"{answer.headers}\n{answer.text}")
        return answer

    def token(self, **form: str) -> str:
        answer = self.send("POST", "/token", data=form)
        return self._canaries.know(f"token {len(self._canaries.by_name)}", answer.json()["access_token"])

    def misplaced(self, secret: str) -> None:
        """A secret wherever somebody may put it by mistake, or to see it again."""
        for name in ("grant_type", "client_id", "client_secret", "username", "password", "scope", "resource", secret):
            form = {"grant_type": "password", "username": "a", "password": "b"} | {name: secret}
            self.send("POST", "/token", data=form)
        for form in (
            {"grant_type": JWT_BEARER, "assertion": secret},
            {"client_assertion_type": CLIENT_ASSERTION_TYPE, "client_assertion": secret},
            {"client_assertion_type": secret, "client_assertion": secret},
        ):
            self.send("POST", "/token", data=form)
        self.send("GET", "/users/me", headers={"Authorization": f"DPoP {secret}", "DPoP": secret})
        self.send("POST", "/token", content=secret)
        self.send("POST", "/token", auth=(secret, secret), data={"grant_type": "client_credentials"})
        self.send("POST", "/token", auth=("somebody", secret), data={"grant_type": "client_credentials"})
        for authorization in (f"Bearer {secret}", f"Basic {secret}", secret, f"Bearer a.{secret}.b"):
            for method, path in (("GET", "/users/me"), ("GET", "/admin/users"), ("POST", "/token")):
                self.send(method, path, headers={"Authorization": authorization})
        for path in (f"/{secret}", f"/users/me?access_token={secret}", f"/admin/clients/{secret}", "/healthz"):
            self.send("GET", path, headers={"User-Agent": secret, "Cookie": f"a={secret}", "Origin": secret})
        self.send(secret.upper().replace("_", "").replace("-", "")[:20], "/healthz")

    def by_keys(self, keyed: KeyedClient, job: Workload, prover: Prover) -> None:
        """What others sign, each used where it is good and once more; and tokens as subject tokens."""
        shown = {"assertion": keyed.assertion(), "outside token": job.token(jti="1"), "proof": prover.proof()}
        for name, secret in shown.items():
            self._canaries.know(name, secret)
        wanted = self.send("POST", "/token", data=keyed.form(), headers={"DPoP": shown["proof"]})
        prover.nonce = wanted.headers["dpop-nonce"]
        proof = self._canaries.know("proof with a nonce", prover.proof())
        bound = [
            self.send("POST", "/token", data=job.form(shown["outside token"]), headers={"DPoP": proof})
            for _ in range(2)
        ]
        assert [answer.is_success for answer in bound] == [True, False]
        own = self.token(**keyed.form(shown["assertion"]))
        self.send("POST", "/introspect", data=keyed.form(shown["assertion"], token=own))
        exchange = {"grant_type": TOKEN_EXCHANGE, "subject_token": own, "subject_token_type": ACCESS_TOKEN}
        self.token(**keyed.form(**exchange))
        for wrong in (
            {"subject_token": own + "x"},
            {"audience": own},
            {"actor_token": own},
            {"subject_token_type": own},
        ):
            self.send("POST", "/token", data=keyed.form(**exchange | wrong))

    def administer(self, headers: dict[str, str]) -> None:
        """The admin API, with secrets where they belong and where they do not."""
        password = self._canaries.new("password of a new user")
        made = self.send("POST", "/users", json={"email": "new@example.com", "password": password}, headers=headers)
        user = f"/admin/users/{made.json()['id']}"
        self.send("POST", "/users", json={"email": "new@example.com", "password": password}, headers=headers)
        for wrong in ({"email": password}, {"username": password, "password": password}, {"nickname": password}):
            self.send("POST", "/users", json={"email": "b@b.example"} | wrong, headers=headers)
            self.send("PATCH", user, json=wrong, headers=headers)
        changed = self._canaries.new("changed password")
        assert self.send("PATCH", user, json={"password": changed}, headers=headers).is_success
        self.send("PATCH", user, json={"roles": [changed, f"{changed}!"]}, headers=headers)
        client = self.send("POST", "/admin/clients", json={"client_id": "made"}, headers=headers)
        self._canaries.know("secret of a new client", client.json()["client_secret"])
        rotated = self.send("POST", "/admin/clients/made/secret", headers=headers)
        secret = self._canaries.know("rotated secret", rotated.json()["client_secret"])
        for member in ("scope", "audiences", "token_endpoint_auth_method", "client_secret"):
            self.send("POST", "/admin/clients", json={"client_id": "bad", member: secret + '"'}, headers=headers)
        self.send("POST", "/users", content=f'{{"password": "{changed}"', headers=headers)
        self.send("GET", f"/admin/audit?event={secret}", headers=headers)
        for path in ("/admin/users", "/admin/clients", "/admin/keys", "/admin/audit"):
            assert not self._canaries.found_in(self.send("GET", path, headers=headers).text), path


async def dump(dsn: str) -> str:
    """Everything in the database, as text."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        rows = [
            row["line"]
            for table in tables
            for row in await connection.fetch(f"select t::text as line from {table['tablename']} t")  # noqa: S608
        ]
        return "\n".join(rows)
    finally:
        await connection.close()


async def learn_private_keys(dsn: str, canaries: Canaries) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for row in await connection.fetch("select kid, sealed_by, sealed from signing_keys"):
            sealer = Sealer((SealingKey(canaries.key_encryption_key),))
            der = sealer.open(row["kid"], Sealed(row["sealed_by"], row["sealed"]))
            private = load_der_private_key(der, None)
            assert isinstance(private, RSAPrivateKey)
            numbers = private.private_numbers()
            for name, number in (("d", numbers.d), ("p", numbers.p), ("qi", numbers.iqmp)):
                canaries.by_name[f"{name} of {row['kid']}"] = number.to_bytes((number.bit_length() + 7) // 8)
            canaries.by_name[f"DER of {row['kid']}"] = der[-64:]
    finally:
        await connection.close()


async def break_database(dsn: str) -> None:
    """From here on a login fails in a way that nobody foresaw."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("alter table known_sources rename to lost")
    finally:
        await connection.close()


async def test_no_secret_comes_out(empty_database: str, tmp_path: Path) -> None:
    canaries = Canaries()
    password, pepper = canaries.new("password"), canaries.new("pepper")
    dsn = empty_database.replace("postgres@", f"postgres:{canaries.new('database password')}@", 1)
    settings = environment(
        dsn,
        IDP_KEY_ENCRYPTION_KEY=base64.b64encode(canaries.key_encryption_key).decode(),
        IDP_PASSWORD_PEPPER=pepper,
        IDP_LOG_LEVEL="DEBUG",
        IDP_TRUSTED_PROXIES="127.0.0.1",
    )
    with serving(tmp_path, settings, "--migrate") as process:
        own = settings_of(dsn, password_peppers=(pepper.encode(),), default_client_id=None)
        async with directories(own) as directory:
            default = Client(DEFAULT_CLIENT, "default", "none", frozenset({"password"}))
            await directory.clients.add(default, None, OPERATOR)
            user = await builders.user(directory, roles=("admin",), password=password)
            grants = frozenset({"password", "client_credentials"})
            client = await builders.client(directory, scopes=("idp:admin",), grant_types=grants)
            keyed = await keyed_client(
                directory,
                own.issuer,
                grant_types=frozenset({TOKEN_EXCHANGE, "client_credentials"}),
                resource_ids=(ORDERS,),
                audiences=(ORDERS,),
                may_introspect=True,
            )
            job = await workload(directory, own.issuer, single_use=True)
        canaries.know("client secret", client.secret)
        with httpx.Client(base_url=process.url) as http:
            requests = Requests(http, canaries)
            credentials = {"client_id": client.client.client_id, "client_secret": client.secret}
            person = {"grant_type": "password", "username": user.email, "password": password}
            everyday = requests.token(**credentials, **person)
            token = requests.token(**credentials, grant_type="client_credentials", scope="idp:admin")
            requests.send("POST", "/token", data=credentials | person | {"password": password + "x"})
            requests.send("POST", "/token", data=credentials | {"client_secret": client.secret + "x"})
            requests.send("GET", "/users/me", headers=bearer(everyday))
            requests.send("GET", "/users/me", headers=bearer(everyday[:-5]))
            requests.administer(bearer(token))
            async with httpx.AsyncClient() as nobody:
                requests.by_keys(keyed, job, Prover(nobody, own.issuer))
            for number, secret in enumerate((password, client.secret, everyday)):
                http.headers["X-Forwarded-For"] = f"198.51.100.{number}"  # else throttled
                requests.misplaced(secret)
            metrics = requests.send("GET", "/metrics").text
            await break_database(empty_database)
            assert requests.send("POST", "/token", data=credentials | person).status_code == 500
        assert process.stop() == 0
    await learn_private_keys(empty_database, canaries)
    assert len(requests.errors) > 50
    written = process.written()
    assert "Traceback" in written
    for what, text in {
        "log": written,
        "metrics": metrics,
        "errors": "\n".join(requests.errors),
        "database": await dump(empty_database),
    }.items():
        assert text
        assert canaries.found_in(text) == set(), what
