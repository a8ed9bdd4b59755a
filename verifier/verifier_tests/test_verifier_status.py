"""Token Status Lists (draft-ietf-oauth-status-list): what a list and a token say, and which are refused."""

import ssl
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from verifier_tests.fetching import fetches
from verifier_tests.listed import publish, token_of

from idp_verifier import InvalidStatus, RevokedToken, StatusUnavailable, Verifier, parse_key
from idp_verifier.encoding import decode_base64url
from idp_verifier.fake_issuer import Clock
from idp_verifier.status import MAX_LIST_OCTETS, MAX_LIST_TOKEN_OCTETS, StatusList, StatusReference, status_reference
from idp_verifier.testing import METADATA_PATH, STATUS_PATH, Answer, LocalIssuer, Signer, base64url

AUDIENCE = "https://api.example.com"
PATH = STATUS_PATH
TLS = ssl.create_default_context()  # dear to make, and the same for all


@pytest.fixture
def issuer(clock: Clock) -> Iterator[LocalIssuer]:
    with LocalIssuer("ES256", clock=clock) as issuer:
        publish(issuer, b"\0\0")
        yield issuer


def lst(octets: bytes) -> str:
    return base64url(zlib.compress(octets))


# What a list says


def test_the_examples_of_the_draft() -> None:
    """§4.1: one bit and two bits for each token, from the lowest bit of each octet up."""
    key = parse_key(Signer.generate("ES256").jwk)
    one = StatusList(key, 1, zlib.decompress(decode_base64url(b"eNrbuRgAAhcBXQ")), None, None)
    two = StatusList(key, 2, zlib.decompress(decode_base64url(b"eNo76fITAAPfAgc")), None, None)
    assert [is_valid(one, idx) for idx in range(16)] == [not bit for bit in map(int, "1001110111000101")]
    assert [is_valid(two, idx) for idx in range(12)] == [not status for status in (1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3)]


def is_valid(status_list: StatusList, idx: int) -> bool:
    try:
        status_list.demand_valid(idx)
    except RevokedToken:
        return False
    return True


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
async def test_each_token_has_its_own_bits(issuer: LocalIssuer, verifier: Verifier, bits: int) -> None:
    count = 16 // bits
    revoked = 5 % count
    octets = (1 << revoked * bits).to_bytes(2, "little")
    publish(issuer, octets, status_list={"bits": bits, "lst": lst(octets)})
    for idx in range(count):
        if idx == revoked:
            with pytest.raises(RevokedToken):
                await verifier.verify(token_of(issuer, idx))
        else:
            await verifier.verify(token_of(issuer, idx))
    with pytest.raises(InvalidStatus, match="outside"):
        await verifier.verify(token_of(issuer, count))
    with pytest.raises(InvalidStatus, match="outside"):
        await verifier.verify(token_of(issuer, 10**30))


@pytest.mark.parametrize("status", range(1, 16))
async def test_whatever_is_not_valid_is_refused(issuer: LocalIssuer, verifier: Verifier, status: int) -> None:
    publish(issuer, b"", status_list={"bits": 4, "lst": lst(bytes([status << 4]))})
    await verifier.verify(token_of(issuer, 0))
    with pytest.raises(RevokedToken):
        await verifier.verify(token_of(issuer, 1))


async def test_a_token_without_status_needs_no_list(issuer: LocalIssuer, verifier: Verifier) -> None:
    await verifier.verify(issuer.token())
    assert fetches(issuer, PATH) == 0


async def test_it_can_be_switched_off(issuer: LocalIssuer, clock: Clock) -> None:
    publish(issuer, b"\1")
    async with Verifier(issuer.url, AUDIENCE, clock=clock, tls=TLS, status="ignore") as verifier:
        await verifier.verify(token_of(issuer))
        await verifier.verify(issuer.token(status="nonsense"))
    assert fetches(issuer, PATH) == 0
    with pytest.raises(ValueError, match="status"):
        Verifier(issuer.url, AUDIENCE, status="maybe")  # type: ignore[arg-type]


# Which lists are refused


@pytest.mark.parametrize(
    "changes",
    [
        {"header": {"typ": "JWT"}},
        {"header": {"typ": "at+jwt"}},
        {"header": {"typ": None}},
        {"header": {"alg": "none"}},
        {"header": {"kid": "unknown"}},
        {"sub": "https://id.example.com/status/1"},
        {"sub": ...},
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"iat": ...},
        {"iat": 1_800_000_031},
        {"iat": "now"},
        {"exp": 1_800_000_000},
        {"exp": "never"},
        {"exp": None, "ttl": None, "iat": None},
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": "1"},
        {"status_list": ...},
        {"status_list": []},
        {"status_list": {"bits": 1}},
        {"status_list": {"lst": lst(b"\0")}},
        {"status_list": {"bits": 3, "lst": lst(b"\0")}},
        {"status_list": {"bits": 0, "lst": lst(b"\0")}},
        {"status_list": {"bits": 16, "lst": lst(b"\0")}},
        {"status_list": {"bits": True, "lst": lst(b"\0")}},
        {"status_list": {"bits": "1", "lst": lst(b"\0")}},
        {"status_list": {"bits": 1, "lst": base64url(b"\0")}},
        {"status_list": {"bits": 1, "lst": lst(b"\0") + "=="}},
        {"status_list": {"bits": 1, "lst": "é"}},
        {"status_list": {"bits": 1, "lst": base64url(zlib.compress(b"\0" * 99)[:-5])}},
        {"status_list": {"bits": 1, "lst": base64url(zlib.compress(b"\0") + b"\0")}},
        {"status_list": {"bits": 1, "lst": lst(b"\0" * (MAX_LIST_OCTETS + 1))}},
        {"status_list": {"bits": 1, "lst": lst(b"\0" * (64 << 20))}},
    ],
    ids=lambda changes: str(changes)[:60],
)
async def test_a_list_that_is_not_the_issuers_or_not_sound_is_refused(
    issuer: LocalIssuer, verifier: Verifier, changes: dict[str, Any]
) -> None:
    publish(issuer, b"\0", **changes)
    with pytest.raises(StatusUnavailable) as refusal:
        await verifier.verify(token_of(issuer))
    assert '"' not in str(refusal.value)


async def test_a_list_as_large_as_allowed_is_accepted(issuer: LocalIssuer, verifier: Verifier) -> None:
    publish(issuer, b"\0" * MAX_LIST_OCTETS, iss=issuer.url)
    await verifier.verify(token_of(issuer, MAX_LIST_OCTETS * 8 - 1))


async def test_an_answer_that_is_no_list_is_refused(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    forger = Signer.generate("ES256", kid=issuer.signer.kid)
    good = issuer.answers[PATH].body.decode()
    for body in (b"", b"a.b.c", good.rpartition(".")[0].encode() + b".AA", b"." * (MAX_LIST_TOKEN_OCTETS + 1)):
        issuer.answers[PATH] = Answer(body)
        with pytest.raises(StatusUnavailable):
            await verifier.verify(token_of(issuer))
        clock.now += 30
    mine, issuer.signer = issuer.signer, forger
    publish(issuer, b"\0")
    issuer.signer = mine
    with pytest.raises(StatusUnavailable, match="signature"):
        await verifier.verify(token_of(issuer))


async def test_redirects_are_not_followed(issuer: LocalIssuer, verifier: Verifier) -> None:
    issuer.answers["/elsewhere"] = issuer.answers[PATH]
    issuer.answers[PATH] = Answer(status=302, headers={"Location": issuer.url + "/elsewhere"})
    with pytest.raises(StatusUnavailable, match="302"):
        await verifier.verify(token_of(issuer))
    assert fetches(issuer, "/elsewhere") == 0


# What a token may say


@pytest.mark.parametrize(
    "status",
    [
        None,
        [],
        "x",
        {},
        {"another_mechanism": {"uri": "https://id.example.com/1", "idx": 0}},
        {"status_list": None},
        {"status_list": {"idx": 0}},
        {"status_list": {"uri": "https://id.example.com/1"}},
        {"status_list": {"uri": "https://id.example.com/1", "idx": -1}},
        {"status_list": {"uri": "https://id.example.com/1", "idx": True}},
        {"status_list": {"uri": "https://id.example.com/1", "idx": 1.0}},
        {"status_list": {"uri": "https://id.example.com/1", "idx": "1"}},
        {"status_list": {"uri": "https://evil.example.com/1", "idx": 0}},
        {"status_list": {"uri": "https://id.example.com.evil.com/1", "idx": 0}},
        {"status_list": {"uri": "https://id.example.com@evil.com/1", "idx": 0}},
        {"status_list": {"uri": "https://id.example.com:8443/1", "idx": 0}},
        {"status_list": {"uri": "http://id.example.com/1", "idx": 0}},
        {"status_list": {"uri": "//id.example.com/1", "idx": 0}},
        {"status_list": {"uri": "/1", "idx": 0}},
        {"status_list": {"uri": "https://id.example.com/1#x", "idx": 0}},
        {"status_list": {"uri": "https://id.example.com:x/1", "idx": 0}},
        {"status_list": {"uri": "https://id.example.com/\r\nX: 1", "idx": 0}},
        {"status_list": {"uri": 'https://id.example.com/"', "idx": 0}},
        {"status_list": {"uri": "", "idx": 0}},
        {"status_list": {"uri": ["https://id.example.com/1"], "idx": 0}},
    ],
    ids=str,
)
def test_a_status_that_cannot_be_followed_is_refused(status: object) -> None:
    with pytest.raises(InvalidStatus):
        status_reference({"status": status}, "https://id.example.com/tenant")


def test_a_list_at_the_origin_of_the_issuer_is_followed() -> None:
    for uri in ("https://id.example.com/1", "https://ID.example.com:443/status?list=1"):
        status = {"status_list": {"uri": uri, "idx": 7}}
        assert status_reference({"status": status}, "https://id.example.com/tenant") == StatusReference(uri, 7)
    assert status_reference({}, "https://id.example.com") is None


async def test_a_token_cannot_send_us_anywhere(issuer: LocalIssuer, verifier: Verifier) -> None:
    await verifier.verify(issuer.token())
    asked = len(issuer.requests)
    other = issuer.url.replace("127.0.0.1", "localhost")
    with pytest.raises(InvalidStatus):
        await verifier.verify(issuer.token(status={"status_list": {"uri": other + METADATA_PATH, "idx": 0}}))
    assert len(issuer.requests) == asked


async def test_the_number_of_lists_is_bounded(issuer: LocalIssuer, verifier: Verifier) -> None:
    for number in range(100):
        uri = f"{issuer.url}/status/none-{number}"
        with pytest.raises(StatusUnavailable):
            await verifier.verify(issuer.token(status={"status_list": {"uri": uri, "idx": 0}}))
    assert len(verifier._lists._sources) == 64
