"""`idp issuers`: outside issuers whose tokens stand for our clients. And `--jwks`, for clients with keys."""

import json
from pathlib import Path
from typing import Any

import pytest

from idp.protocol.assertion import JWT_BEARER
from idp_verifier.testing import Signer
from tests.cli.runs import Idp

GITHUB = "https://ci.example"
URI = "https://ci.example/jwks"
SIGNER = Signer.generate("ES256", "a")


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    """A file with a JWK Set."""
    return written(tmp_path, {"keys": [dict(SIGNER.jwk)]})


def written(folder: Path, document: Any) -> Path:
    file = folder / "jwks.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


@pytest.fixture
def deployer(idp: Idp) -> str:
    """The client_id of a client without credentials of its own."""
    idp.ok("clients", "add", "deployer", "--public", "--grant", JWT_BEARER, "--scope", "deploy")
    return "deployer"


def test_a_rule_is_added_listed_and_removed(idp: Idp, deployer: str, jwks: Path) -> None:
    added = idp.json(
        *("issuers", "add", GITHUB, "--client", deployer, "--subject", "repo:acme/*", "--audience", "sts.example"),
        *("--claim", "environment=prod", "--claim", "ref=a=b", "--jwks", jwks, "--single-use"),
    )
    assert added == {
        "issuer": GITHUB,
        "client_id": deployer,
        "subject": "repo:acme/*",
        "claims": {"environment": "prod", "ref": "a=b"},
        "audience": "sts.example",
        "single_use": True,
        "jwks": {"keys": [dict(SIGNER.jwk)]},
        "jwks_uri": None,
    }
    idp.ok("issuers", "add", GITHUB, "--client", deployer, "--subject", "repo:acme/b", "--jwks-uri", URI)
    first, second = idp.json("issuers", "list")["issuers"]
    assert first == added
    assert (second["audience"], second["single_use"], second["jwks_uri"]) == (None, False, URI)
    head, *lines = idp.ok("issuers", "list").out.splitlines()
    assert head.split()[:3] == ["issuer", "client_id", "subject"]
    assert '"environment": "prod"' in lines[0]
    removed = idp.json("issuers", "remove", GITHUB, "--subject", "repo:acme/b")
    assert removed == {"issuer": GITHUB, "removed": 1}
    assert idp.json("issuers", "remove", GITHUB, "--client", deployer)["removed"] == 1
    assert "No outside issuer" in idp.ok("issuers", "list").out
    assert idp("issuers", "remove", GITHUB).code == 1
    events = [event["event"] for event in idp.json("audit", "--subject", deployer)["events"]]
    assert events == ["issuer.removed", "issuer.removed", "issuer.trusted", "issuer.trusted", "client.created"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--subject", "*"), 1, "bind it to a claim"),
        (("--subject", "acme*"), 1, "separator"),
        (("--subject", "repo:*/x*"), 1, "one *, at its end"),
        (("--subject", ""), 1, "1 to 300"),
        (("--subject", "a", "--audience", ""), 1, "1 to 300"),
        (("--subject", "a", "--claim", "environment"), 2, "NAME=VALUE"),
        (("--subject", "a", "--claim", "a=b", "--claim", "a=c"), 2, "each name once"),
        (("--subject", "a", "--jwks-uri", "http://ci.example/jwks"), 1, "https"),
        (("--subject", "a", "--client", "nobody"), 1, "There is no client nobody"),
        (("--subject", "a", "--client", "web"), 1, "not registered for the grant"),
    ],
)
def test_what_cannot_be_a_rule(idp: Idp, deployer: str, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    idp.ok("clients", "add", "web")
    run = idp("issuers", "add", GITHUB, "--client", deployer, "--jwks-uri", URI, *arguments)
    assert (run.code, run.out) == (code, "")
    assert sentence in run.err
    assert idp.json("issuers", "list") == {"issuers": []}


def test_keys_come_from_one_place(idp: Idp, deployer: str, jwks: Path) -> None:
    rule = ("issuers", "add", GITHUB, "--client", deployer, "--subject", "a")
    assert "needed" in idp(*rule).err
    assert "not both" in idp(*rule, "--jwks", jwks, "--jwks-uri", URI).err
    idp.ok(*rule, "--jwks", jwks)
    assert "already" in idp(*rule, "--jwks-uri", URI).err


def test_our_own_issuer_is_no_outside_one(idp: Idp, deployer: str) -> None:
    run = idp("issuers", "add", "http://localhost:9", "--client", deployer, "--subject", "a", "--jwks-uri", URI)
    assert "our own" in run.err


def test_rules_go_with_their_client(idp: Idp, deployer: str) -> None:
    idp.ok("issuers", "add", GITHUB, "--client", deployer, "--subject", "a", "--jwks-uri", URI)
    idp.ok("clients", "remove", deployer)
    assert idp.json("issuers", "list") == {"issuers": []}


class TestClientsWithKeys:
    """`idp clients` with `--jwks` and `--jwks-uri`."""

    def test_no_secret_is_made(self, idp: Idp, jwks: Path) -> None:
        made = idp.json("clients", "add", "robot", "--auth-method", "private_key_jwt", "--jwks", jwks)
        assert made["token_endpoint_auth_method"] == "private_key_jwt"
        assert made["jwks"] == {"keys": [dict(SIGNER.jwk)]}
        assert "client_secret" not in made
        assert '"kid": "a"' in idp.ok("clients", "show", "robot").out
        assert "it has no secret" in idp("clients", "rotate-secret", "robot").err
        moved = idp.json("clients", "update", "robot", "--jwks-uri", "https://robot.example/jwks")
        assert (moved["jwks"], moved["jwks_uri"]) == (None, "https://robot.example/jwks")
        back = idp.json("clients", "update", "robot", "--jwks", jwks)
        assert (back["jwks"], back["jwks_uri"]) == (made["jwks"], None)

    def test_keys_that_are_not_used(self, idp: Idp, jwks: Path) -> None:
        note = "Its keys are not used: that takes --auth-method private_key_jwt."
        assert note in idp.ok("clients", "add", "robot", "--jwks", jwks).out
        assert note not in idp.ok("clients", "update", "robot", "--auth-method", "private_key_jwt").out

    def test_a_client_may_turn_to_keys_and_back(self, idp: Idp, jwks: Path) -> None:
        idp.ok("clients", "add", "robot")
        idp.ok("clients", "update", "robot", "--auth-method", "private_key_jwt", "--jwks", jwks)
        back = idp.ok("clients", "update", "robot", "--auth-method", "client_secret_post").out
        assert "It has no secret yet: `idp clients rotate-secret robot` makes one." in back
        left = idp.json("clients", "show", "robot")
        assert (left["jwks"], left["jwks_uri"]) == (None, None)
        assert idp.json("clients", "rotate-secret", "robot")["old_secret_until"]
        assert "no secret yet" not in idp.ok("clients", "update", "robot", "--auth-method", "client_secret_basic").out

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            ((), 1),
            (("--secret-stdin", "--jwks-uri", URI), 2),
            (("--public", "--jwks-uri", URI), 2),
            (("--jwks-uri", "http://robot.example/jwks"), 1),
            (("--jwks-uri", "https://user@robot.example/jwks"), 1),
            (("--jwks", "missing.json"), 1),
        ],
    )
    def test_what_cannot_be_registered(self, idp: Idp, arguments: tuple[str, ...], code: int) -> None:
        run = idp("clients", "add", "robot", "--auth-method", "private_key_jwt", *arguments, given="s" * 40)
        assert (run.code, run.out) == (code, "")

    @pytest.mark.parametrize(
        ("document", "sentence"),
        [
            ("no json", "can be read"),
            ([], "is not a JWK Set"),
            ({}, "public keys"),
            ({"keys": []}, "public keys"),
            ({"keys": {}}, "public keys"),
            ({"keys": [7]}, "public keys"),
            ({"keys": [dict(SIGNER.jwk)] * 2}, "same kid"),
            ({"keys": [dict(SIGNER.jwk)] * 21}, "1 to 20"),
            ({"keys": [{**SIGNER.jwk, "d": "AAAA"}]}, "private half"),
            ({"keys": [{"kty": "oct", "kid": "a", "alg": "HS256", "k": "AAAA"}]}, "alg"),
            ({"keys": [{**SIGNER.jwk, "use": "enc"}]}, "cannot be used"),
            ({"keys": [dict(SIGNER.jwk), {**SIGNER.jwk, "kid": "b", "use": "enc"}]}, "signs"),
            ({"keys": [{**SIGNER.jwk, "alg": "RS256"}]}, "kty"),
            ({"keys": [{**SIGNER.jwk, "x": "AAAA"}]}, "cannot be read"),
            ({"keys": [{**SIGNER.jwk, "kid": "a\0b"}]}, "no text"),
            ({"keys": [{**SIGNER.jwk, "kid": "\ud800"}]}, "no text"),
            ({"keys": [{**SIGNER.jwk, "x5c": ["A" * 65536]}]}, "64 KiB"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_is_no_set_of_public_keys(self, idp: Idp, tmp_path: Path, document: Any, sentence: str) -> None:
        file = written(tmp_path, document)
        run = idp("clients", "add", "robot", "--auth-method", "private_key_jwt", "--jwks", file)
        assert (run.code, run.out) == (1, "")
        assert sentence in run.err
        assert "AAAA" not in run.err
