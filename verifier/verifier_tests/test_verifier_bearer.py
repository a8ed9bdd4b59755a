"""Which token of a request counts, and whose requests a cookie is good for: pure decisions. RFC 6750 §2, S1."""

import pytest

from idp_verifier.bearer import Bearer, Gateway, Refusal, Request, Target, TokenCookie
from idp_verifier.resource import ProtectedResource

OWN = "https://app.example.com"
COOKIE = TokenCookie("__Host-token", OWN)
SAFE = ("GET", "HEAD", "OPTIONS")
UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "CONNECT", "get", "PROPFIND")
LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


Fields = list[tuple[str, str]]

GATEWAY = Gateway(
    method=lambda request: str(request["method"]),
    header=lambda request, name: [value for field, value in request["fields"] if field == name],
    authorization=lambda request: next((value for field, value in request["fields"] if field == "authorization"), None),
    target=lambda request: Target(str(request["method"]), OWN, "/"),
)


def header(*fields: tuple[str, str], **named: str) -> Fields:
    return [*fields, *((name.replace("_", "-"), value) for name, value in named.items())]


def status(method: str, fields: Fields, cookie: TokenCookie | None = COOKIE) -> int:
    request: Request = {"method": method, "fields": fields}
    try:
        assert Bearer(GATEWAY, cookie).credentials(request) == ("t", None)
    except Refusal as refusal:
        return refusal.status
    return 200


# Where it is


@pytest.mark.parametrize(
    "cookies",
    [
        ["__Host-token=t"],
        ["a=b; __Host-token=t; c=d"],
        ["a=b;__Host-token=t"],
        ["a=b", "__Host-token=t"],  # HTTP/2 may send one field for each (RFC 9113 §8.2.3)
        ["a; __Host-token=t; =x; __Host-tokens=x; x__Host-token=x; __host-token=x"],
    ],
)
def test_the_cookie_is_found_among_others(cookies: list[str]) -> None:
    assert status("GET", header(*(("cookie", value) for value in cookies))) == 200


def test_no_cookie_is_read_unless_asked() -> None:
    assert status("GET", header(cookie="__Host-token=t"), cookie=None) == 401


@pytest.mark.parametrize(
    "fields",
    [
        [("authorization", "Bearer t"), ("cookie", "__Host-token=t")],
        [("cookie", "__Host-token=t; __Host-token=t")],
        [("cookie", "__Host-token=t"), ("cookie", "__Host-token=u")],
        [("authorization", "Bearer t"), ("authorization", "Bearer t")],
        [("authorization", "Bearer t"), ("authorization", "Basic YTpi")],
        [("authorization", "Bearer t, Bearer u")],
    ],
)
def test_two_tokens_are_one_too_many(fields: list[tuple[str, str]]) -> None:
    assert status("GET", header(*fields)) == 400


def test_another_scheme_leaves_room_for_the_cookie() -> None:
    """A proxy's own password, for instance."""
    for other in ("Basic YTpi", 'Digest username="a", realm="b"', "Basic YTpi, Bearer t"):
        assert status("GET", header(authorization=other, cookie="__Host-token=t")) == 200
        assert status("GET", header(authorization=other)) == 401


@pytest.mark.parametrize("cookie", ["__Host-token=", "__Host-token", "", "token=t"])
def test_an_empty_cookie_is_none(cookie: str) -> None:
    assert status("GET", header(cookie=cookie)) == 401


# Whose pages may use it


@pytest.mark.parametrize("method", [*SAFE, *UNSAFE])
def test_s1_the_origins_own_pages_may_do_everything(method: str) -> None:
    assert status(method, header(cookie="__Host-token=t", sec_fetch_site="same-origin", origin=OWN)) == 200


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize(
    "witness",
    [
        {},
        {"origin": OWN},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none", "origin": OWN},
        {"sec-fetch-site": "same-site", "origin": OWN},
        {"sec-fetch-site": "cross-site", "origin": OWN},
        {"sec-fetch-site": "same-origin", "origin": "null"},
        {"sec-fetch-site": "same-origin", "origin": "https://evil.example.net"},
        {"sec-fetch-site": "same-origin", "origin": OWN + ":8443"},
        {"sec-fetch-site": "same-origin", "origin": "http://app.example.com"},
        {"sec-fetch-site": "same-origin", "origin": OWN + ".example.net"},
        {"sec-fetch-site": "same-origin, same-origin", "origin": OWN},
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example.net", **LINK},
        {"referer": OWN + "/"},
    ],
)
def test_s1_without_proof_nothing_changes(method: str, witness: dict[str, str]) -> None:
    assert status(method, header(("cookie", "__Host-token=t"), *witness.items())) == 403


@pytest.mark.parametrize("method", SAFE)
@pytest.mark.parametrize(
    ("witness", "expected"),
    [
        ({}, 200),  # browsers of before 2023
        ({"sec-fetch-site": "none"}, 200),  # typed by the user
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site", **LINK}, 200),
        ({"sec-fetch-site": "cross-site", **LINK, "sec-fetch-dest": "iframe"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "https://evil.example.net"}, 403),
        ({"origin": "https://evil.example.net"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_s1_reading_is_for_own_pages_and_followed_links(method: str, witness: dict[str, str], expected: int) -> None:
    assert status(method, header(("cookie", "__Host-token=t"), *witness.items())) == expected


def test_a_token_in_the_header_needs_no_proof() -> None:
    """No page can make a browser send it unasked."""
    fields = header(authorization="Bearer t", sec_fetch_site="cross-site", origin="https://spa.example.net")
    assert status("DELETE", fields) == 200


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("token", OWN),
        ("__Secure-token", OWN),
        ("__Host-token", OWN + "/"),
        ("__Host-token", "https://App.example.com"),
        ("__Host-token", "http://app.example.com"),
        ("__Host-token", "app.example.com"),
        ("__Host-token", "null"),
    ],
)
def test_s1_a_cookie_that_others_could_set_is_refused(name: str, origin: str) -> None:
    with pytest.raises(ValueError, match=r"origin|__Host-|http"):
        TokenCookie(name, origin)


def test_on_loopback_a_plain_cookie_will_do() -> None:
    TokenCookie("token", "http://localhost:9000")


# RFC 9728


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        ("https://api.example.com", "https://api.example.com/.well-known/oauth-protected-resource"),
        ("https://api.example.com/", "https://api.example.com/.well-known/oauth-protected-resource"),
        ("https://api.example.com/a/b", "https://api.example.com/.well-known/oauth-protected-resource/a/b"),
        ("https://api.example.com/a/", "https://api.example.com/.well-known/oauth-protected-resource/a/"),
        ("http://localhost:9000", "http://localhost:9000/.well-known/oauth-protected-resource"),
    ],
)
def test_rfc9728_the_path_comes_after_the_well_known_part(resource: str, url: str) -> None:
    assert ProtectedResource(resource, ["https://id.example.com"]).metadata_url == url


def test_rfc9728_what_is_empty_is_not_said() -> None:
    assert ProtectedResource("https://api.example.com", []).document() == (
        b'{"resource": "https://api.example.com", "bearer_methods_supported": ["header"]}'
    )


@pytest.mark.parametrize(
    "resource", ["http://api.example.com", "api", "https://a/#x", "https://a/?q", 'https://a/"', ""]
)
def test_rfc9728_not_every_text_is_an_identifier(resource: str) -> None:
    with pytest.raises(ValueError, match=r"http|query"):
        ProtectedResource(resource, ["https://id.example.com"])
