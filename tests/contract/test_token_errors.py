"""The error table of RFC 6749 §5.2, a test a row, through real HTTP."""

import base64
from typing import Any

import httpx
import pytest

from idp.cli.directories import Directories
from idp.protocol.audit import OPERATOR
from tests import builders
from tests.builders import PASSWORD
from tests.contract.asking import token

FORM = "application/x-www-form-urlencoded"
PUBLIC = {"token_endpoint_auth_method": "none", "grant_types": frozenset({"password"})}


def assert_refused(answer: httpx.Response, status: int, error: str) -> None:
    """The form that every refusal has (§5.2)."""
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    assert answer.json().keys() <= {"error", "error_description"}


async def ask(http: httpx.AsyncClient, auth: tuple[str, str] | None = None, /, **form: str) -> httpx.Response:
    return await http.post("/token", data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)


class TestInvalidRequest:
    """Missing, unsupported, repeated or malformed parameters; several credentials; several mechanisms."""

    async def test_grant_type_missing(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(directory)
        assert_refused(await ask(http, client.auth), 400, "invalid_request")

    @pytest.mark.parametrize("missing", ["username", "password"])
    async def test_parameter_of_the_grant_missing(
        self, http: httpx.AsyncClient, directory: Directories, missing: str
    ) -> None:
        client = await builders.client(directory, **PUBLIC)
        form = {"grant_type": "password", "client_id": client.client.client_id, "username": "a", "password": "b"}
        form[missing] = ""  # an empty parameter counts as absent (§3.2)
        assert_refused(await ask(http, **form), 400, "invalid_request")

    @pytest.mark.parametrize("name", ["grant_type", "scope", "client_id", "made_up"])
    async def test_parameter_repeated(self, http: httpx.AsyncClient, name: str) -> None:
        body = f"grant_type=client_credentials&{name}=a&{name}=a"
        answer = await http.post("/token", content=body, headers={"content-type": FORM})
        assert_refused(answer, 400, "invalid_request")

    @pytest.mark.parametrize("known", [False, True])
    @pytest.mark.parametrize("more", [{"client_secret": "s"}, {"client_assertion": "a.b.c"}, {"client_id": "another"}])
    async def test_a_header_and_something_else(
        self, http: httpx.AsyncClient, directory: Directories, known: bool, more: dict[str, str]
    ) -> None:
        """Two methods, or two clients: also where the header alone has been good a moment ago."""
        client = await builders.client(directory)
        if known:
            await token(http, client)
        answer = await ask(http, client.auth, grant_type="client_credentials", **more)
        assert_refused(answer, 400, "invalid_request")

    async def test_an_empty_header_proves_nobody_whoever_came_with_it(
        self, http: httpx.AsyncClient, directory: Directories
    ) -> None:
        """Swagger UI sends one beside whatever else there is."""
        client = await builders.client(directory)
        proof = {"client_id": client.client.client_id, "client_secret": client.secret}
        answer = await ask(http, ("", ""), grant_type="client_credentials", **proof)
        assert answer.status_code == 200
        assert_refused(await ask(http, ("", ""), grant_type="client_credentials"), 400, "invalid_request")

    async def test_a_header_that_differs_from_the_one_that_was_good(
        self, http: httpx.AsyncClient, directory: Directories
    ) -> None:
        client = await builders.client(directory)
        await token(http, client)
        for secret in (client.secret[:-1], client.secret + "x", client.secret.swapcase(), ""):
            answer = await ask(http, (client.client.client_id, secret), grant_type="client_credentials")
            assert_refused(answer, 401, "invalid_client")
        await token(http, client)

    async def test_no_client_named(self, http: httpx.AsyncClient) -> None:
        assert_refused(await ask(http, grant_type="client_credentials"), 400, "invalid_request")

    @pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
    async def test_wrong_content_type(self, http: httpx.AsyncClient, media_type: str) -> None:
        answer = await http.post("/token", content=b"grant_type=password", headers={"content-type": media_type})
        assert_refused(answer, 400, "invalid_request")

    @pytest.mark.parametrize(
        "body",
        [b"grant_type=%ff%fe", "grant_type=é".encode(), b"grant_type=%00", b"a%00b=c", b"&".join([b"x=1"] * 500)],
        ids=["broken UTF-8", "unescaped", "NUL in value", "NUL in name", "500 fields"],
    )
    async def test_malformed_body(self, http: httpx.AsyncClient, body: bytes) -> None:
        answer = await http.post("/token", content=body, headers={"content-type": FORM})
        assert_refused(answer, 400, "invalid_request")

    async def test_oversized_body(self, http: httpx.AsyncClient) -> None:
        answer = await http.post("/token", content=b"a=" + b"x" * 70_000, headers={"content-type": FORM})
        assert_refused(answer, 413, "invalid_request")

    async def test_oversized_body_of_unknown_length(self, http: httpx.AsyncClient) -> None:
        async def endless() -> Any:
            for _ in range(100):
                yield b"x" * 1000

        answer = await http.post("/token", content=endless(), headers={"content-type": FORM})
        assert_refused(answer, 413, "invalid_request")

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
    async def test_other_methods(self, http: httpx.AsyncClient, method: str) -> None:
        answer = await http.request(method, "/token?grant_type=password")
        assert_refused(answer, 405, "invalid_request")
        assert answer.headers["allow"] == "POST"


class TestInvalidClient:
    """Unknown client, no authentication included, unsupported method: 401 with a challenge (§5.2)."""

    async def test_unknown_client(self, http: httpx.AsyncClient) -> None:
        answer = await ask(http, ("nobody", "x" * 43), grant_type="client_credentials")
        assert_refused(answer, 401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic realm=")

    async def test_wrong_secret_looks_like_an_unknown_client(
        self, http: httpx.AsyncClient, directory: Directories
    ) -> None:
        client = await builders.client(directory)
        wrong = await ask(http, (client.client.client_id, "x" * 43), grant_type="client_credentials")
        unknown = await ask(http, ("nobody", "x" * 43), grant_type="client_credentials")
        assert_refused(wrong, 401, "invalid_client")
        assert wrong.content == unknown.content

    async def test_wrong_secret_in_the_body(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(directory)
        answer = await ask(
            http, grant_type="client_credentials", client_id=client.client.client_id, client_secret="x" * 43
        )
        assert_refused(answer, 401, "invalid_client")

    async def test_confidential_client_without_secret(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(directory)
        answer = await ask(http, grant_type="client_credentials", client_id=client.client.client_id)
        assert_refused(answer, 401, "invalid_client")

    async def test_public_client_with_a_secret(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(directory, **PUBLIC)
        answer = await ask(http, (client.client.client_id, "made up"), grant_type="password", username="a")
        assert_refused(answer, 401, "invalid_client")

    @pytest.mark.parametrize(
        "header",
        ["Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff:x").decode(), "Bearer abc", "Digest x"],
        ids=["empty", "not base64", "not UTF-8", "Bearer", "Digest"],
    )
    async def test_malformed_header(self, http: httpx.AsyncClient, header: str) -> None:
        answer = await http.post("/token", data={"grant_type": "client_credentials"}, headers={"authorization": header})
        assert_refused(answer, 401, "invalid_client")


class TestInvalidGrant:
    """The resource owner's credentials are wrong."""

    async def test_wrong_password(self, http: httpx.AsyncClient, directory: Directories) -> None:
        user = await builders.user(directory)
        answer = await ask(http, username=user.email, password="not this one at all")
        assert_refused(answer, 400, "invalid_grant")

    async def test_p6_every_wrong_login_looks_alike(self, http: httpx.AsyncClient, directory: Directories) -> None:
        user, disabled = await builders.user(directory), await builders.user(directory)
        await directory.people.set_active(disabled.id, False, OPERATOR)
        tries = [
            (user.email, "wrong"),
            (user.username or "", "x" * 73),
            (disabled.email, PASSWORD),
            (disabled.email, "wrong"),
            ("nobody@example.com", PASSWORD),
            ("nobody", "a\0b"),
        ]
        answers = [await ask(http, username=name, password=password) for name, password in tries[:-1]]
        assert {answer.content for answer in answers} == {answers[0].content}
        assert {answer.status_code for answer in answers} == {400}
        varying = {"date", "x-request-id"}
        headers = [{k: v for k, v in answer.headers.items() if k not in varying} for answer in answers]
        assert all(header == headers[0] for header in headers)


class TestUnauthorizedClient:
    """The authenticated client may not use this grant (R10)."""

    async def test_r10_password_grant_only_where_registered(
        self, http: httpx.AsyncClient, directory: Directories
    ) -> None:
        client = await builders.client(directory)
        user = await builders.user(directory)
        answer = await ask(http, client.auth, grant_type="password", username=user.email, password=PASSWORD)
        assert_refused(answer, 400, "unauthorized_client")

    async def test_public_client_cannot_act_for_itself(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(directory, **PUBLIC)
        answer = await ask(http, grant_type="client_credentials", client_id=client.client.client_id)
        assert_refused(answer, 400, "unauthorized_client")


class TestUnsupportedGrantType:
    """The server has no such grant; what was asked for is not echoed."""

    @pytest.mark.parametrize("grant_type", ["implicit", "made_up", "<script>", "pässword", "authorization_code"])
    async def test_unknown_grant(self, http: httpx.AsyncClient, directory: Directories, grant_type: str) -> None:
        client = await builders.client(directory)
        answer = await ask(http, client.auth, grant_type=grant_type)
        assert_refused(answer, 400, "unsupported_grant_type")
        assert grant_type not in answer.json()["error_description"]


class TestInvalidScope:
    """The scope is malformed or more than the client may have."""

    @pytest.mark.parametrize("scope", ["write", "read write", "read  read", " read", 'a"b', "a\\b", "é"])
    async def test_scope(self, http: httpx.AsyncClient, directory: Directories, scope: str) -> None:
        client = await builders.client(directory, scopes=("read",))
        answer = await ask(http, client.auth, grant_type="client_credentials", scope=scope)
        assert_refused(answer, 400, "invalid_scope")

    async def test_admin_scope_is_for_administrators(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(
            directory, scopes=("idp:admin",), grant_types=frozenset({"password", "client_credentials"})
        )
        user = await builders.user(directory)
        form = {"grant_type": "password", "username": user.email, "password": PASSWORD, "scope": "idp:admin"}
        assert_refused(await ask(http, client.auth, **form), 400, "invalid_scope")


class TestInvalidTarget:
    """The resource is none of the client's (RFC 8707 §2)."""

    @pytest.mark.parametrize("resource", ["https://other.example.com", "not a uri", "https://api.example.com#x", "/a"])
    async def test_resource(self, http: httpx.AsyncClient, directory: Directories, resource: str) -> None:
        client = await builders.client(directory, audiences=("https://api.example.com",))
        answer = await ask(http, client.auth, grant_type="client_credentials", resource=resource)
        assert_refused(answer, 400, "invalid_target")
