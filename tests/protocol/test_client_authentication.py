"""R13: how a client proves who it is (RFC 6749 §2.3), and what is no proof."""

import base64
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol.client import Client, ClientSecret, secret_digest
from idp.protocol.client_authentication import ClientCredentials, is_authentic, presented_credentials
from idp.protocol.errors import InvalidClientError, InvalidRequestError, OAuth2Error

NOW = 1_000.0
SECRET = "a secret of the client"
CONFIDENTIAL = Client(
    "app", "An app", "client_secret_basic", frozenset(), secrets=(ClientSecret(secret_digest(SECRET)),)
)
PUBLIC = Client("spa", "A page", "none", frozenset())
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def basic(pair: str | bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(pair if isinstance(pair, bytes) else pair.encode()).decode()}"


@pytest.mark.parametrize(
    ("header", "form", "expected"),
    [
        (None, {}, None),
        (None, {"username": "ada"}, None),
        (basic(":"), {}, None),
        (basic(":"), {"client_id": "spa"}, ClientCredentials("none", "spa")),
        (None, {"client_id": "spa"}, ClientCredentials("none", "spa")),
        (None, {"client_id": "app", "client_secret": "s"}, ClientCredentials("client_secret_post", "app", "s")),
        (basic("app:s"), {}, ClientCredentials("client_secret_basic", "app", "s")),
        (basic("app:s"), {"client_id": "app"}, ClientCredentials("client_secret_basic", "app", "s")),
        (basic("app:s", "bAsIc"), {}, ClientCredentials("client_secret_basic", "app", "s")),
        (basic("app:s:t"), {}, ClientCredentials("client_secret_basic", "app", "s:t")),
        (basic("a%3Ab:%2B+%25"), {}, ClientCredentials("client_secret_basic", "a:b", "+ %")),
        (basic("spa:"), {}, ClientCredentials("none", "spa")),
        (basic(":s"), {}, ClientCredentials("client_secret_basic", "", "s")),
    ],
)
def test_what_a_request_presents(
    header: str | None, form: Mapping[str, str], expected: ClientCredentials | None
) -> None:
    assert presented_credentials(header, form) == expected


@pytest.mark.parametrize(
    ("header", "form", "error"),
    [
        (basic("app:s"), {"client_secret": "s"}, InvalidRequestError),
        (basic("app:s"), {"client_id": "app", "client_secret": "s"}, InvalidRequestError),
        (basic("app:s"), {"client_id": "other"}, InvalidRequestError),
        (None, {"client_secret": "s"}, InvalidRequestError),
        ("Bearer abc", {}, InvalidClientError),
        ("Digest username=x", {"client_id": "app"}, InvalidClientError),
        ("", {}, InvalidClientError),
        ("Basic", {}, InvalidClientError),
        ("Basic ", {}, InvalidClientError),
        ("Basic !!!!", {}, InvalidClientError),
        ("Basic YXBw", {}, InvalidClientError),
        ("Basic YXBwOnM", {}, InvalidClientError),
        ("Basic YXBwOnM= junk", {}, InvalidClientError),
        ("Basic \xe9\xe9\xe9\xe9", {}, InvalidClientError),
        (basic(b"app:\xff"), {}, InvalidClientError),
        (basic("app:%ff"), {}, InvalidClientError),
        (basic("app\0:s"), {}, InvalidClientError),
        (basic("app:s%00"), {}, InvalidClientError),
    ],
)
def test_what_is_refused(header: str | None, form: Mapping[str, str], error: type[OAuth2Error]) -> None:
    with pytest.raises(error):
        presented_credentials(header, form)


@given(words, words)
def test_every_pair_survives_basic(client_id: str, secret: str) -> None:
    header = basic(f"{quote_plus(client_id)}:{quote_plus(secret)}")
    assert presented_credentials(header, {}) == ClientCredentials("client_secret_basic", client_id, secret)


@given(
    st.text(st.characters(max_codepoint=255)),
    st.dictionaries(
        st.sampled_from(["client_id", "client_secret", "client_assertion", "client_assertion_type"]), words
    ),
)
def test_no_header_is_too_strange_to_be_refused(header: str, form: dict[str, str]) -> None:
    for text in (header, f"Basic {header}"):
        with contextlib.suppress(InvalidRequestError, InvalidClientError):
            presented_credentials(text, form)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_confidential_client_proves_itself_with_its_secret(method: str) -> None:
    assert is_authentic(CONFIDENTIAL, ClientCredentials(method, "app", SECRET), NOW)
    for wrong in ("", SECRET[:-1], f"{SECRET} ", SECRET.upper()):
        assert not is_authentic(CONFIDENTIAL, ClientCredentials(method, "app", wrong), NOW)


def test_only_a_public_client_needs_no_proof() -> None:
    assert is_authentic(PUBLIC, ClientCredentials("none", "spa"), NOW)
    assert not is_authentic(CONFIDENTIAL, ClientCredentials("none", "app"), NOW)
    assert not is_authentic(CONFIDENTIAL, ClientCredentials("none", "app", SECRET), NOW)


def test_a_public_client_with_a_secret_is_mistaken() -> None:
    with_secret = replace(PUBLIC, secrets=CONFIDENTIAL.secrets)
    for method in ("client_secret_basic", "client_secret_post"):
        assert not is_authentic(PUBLIC, ClientCredentials(method, "spa", ""), NOW)
        assert not is_authentic(with_secret, ClientCredentials(method, "spa", SECRET), NOW)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
@pytest.mark.parametrize("secret", ["", SECRET])
def test_nobody_is_authentic(method: str, secret: str) -> None:
    assert not is_authentic(None, ClientCredentials(method, "ghost", secret), NOW)
    assert not is_authentic(replace(CONFIDENTIAL, secrets=()), ClientCredentials(method, "app", secret), NOW)


def test_a_secret_ends_when_it_is_said_to() -> None:
    secrets = (ClientSecret(secret_digest("old"), NOW), ClientSecret(secret_digest("new")))
    client = replace(CONFIDENTIAL, secrets=secrets)
    assert client.has_secret("old", NOW - 0.001)
    assert not client.has_secret("old", NOW)
    assert client.has_secret("new", NOW + 1e9)


def test_no_secret_is_shown() -> None:
    assert SECRET not in repr(ClientCredentials("client_secret_post", "app", SECRET))
