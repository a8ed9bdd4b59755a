"""What deploy/haproxy-keys makes of a JWK Set, and of what is none."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from idp_verifier.testing import JWKS_PATH, Answer, LocalIssuer, Signer

SCRIPT = Path(__file__).parents[2] / "deploy/haproxy-keys"


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with LocalIssuer() as issuer:
        yield issuer


def follow(issuer: LocalIssuer, folder: Path, *reload: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, "-W", "error", SCRIPT, issuer.url + JWKS_PATH, folder, *reload]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}


def test_each_rsa_key_is_a_file_and_a_rule(issuer: LocalIssuer, tmp_path: Path) -> None:
    signers = [issuer.signer, Signer.generate(), Signer.generate("ES256")]
    issuer.publish(*signers)
    assert follow(issuer, tmp_path).returncode == 0
    made = contents(tmp_path)
    for signer in signers[:2]:
        assert load_pem_public_key(made[f"{signer.kid}.pem"].encode()) == signer.public_key
        assert made["1-keys.cfg"].count(f'"{tmp_path}/{signer.kid}.pem"') == 1
    assert made.keys() == {"1-keys.cfg", *(f"{signer.kid}.pem" for signer in signers[:2])}


def test_haproxy_is_told_once_of_each_change(issuer: LocalIssuer, tmp_path: Path) -> None:
    tell = ("sh", "-c", f"echo told >> {tmp_path}/.log")
    for signers in ([issuer.signer], [issuer.signer], [issuer.signer, Signer.generate()]):
        issuer.publish(*signers)
        assert follow(issuer, tmp_path, *tell).returncode == 0
    assert (tmp_path / ".log").read_text() == "told\n" * 2


def test_haproxy_is_told_again_when_it_would_not_listen(issuer: LocalIssuer, tmp_path: Path) -> None:
    issuer.publish(issuer.signer)
    assert follow(issuer, tmp_path, "false").returncode == 1
    assert follow(issuer, tmp_path, "true").returncode == 0
    assert follow(issuer, tmp_path, "false").returncode == 0


def test_a_key_that_is_gone_is_gone(issuer: LocalIssuer, tmp_path: Path) -> None:
    issuer.publish(issuer.signer)
    follow(issuer, tmp_path)
    successor = Signer.generate()
    issuer.publish(successor)
    assert follow(issuer, tmp_path).returncode == 0
    assert contents(tmp_path).keys() == {"1-keys.cfg", f"{successor.kid}.pem"}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=503),
        Answer(b"<html>"),
        Answer(b"[]"),
        Answer(b'{"keys": []}'),
        Answer(b'{"keys": [1]}'),
        Answer(b'{"keys": [{"kty": "RSA", "kid": "a", "n": "", "e": "AQAB"}]}'),
    ],
    ids=lambda answer: f"{answer.status} {answer.body.decode()}",
)
def test_the_last_good_keys_stay(issuer: LocalIssuer, tmp_path: Path, answer: Answer) -> None:
    issuer.publish(issuer.signer)
    follow(issuer, tmp_path)
    before = contents(tmp_path)
    issuer.answers[JWKS_PATH] = answer
    said = follow(issuer, tmp_path)
    assert said.returncode == 1
    assert said.stderr.startswith("haproxy-keys: ")
    assert contents(tmp_path) == before


def test_no_kid_leads_out_of_the_folder_or_into_the_rules(issuer: LocalIssuer, tmp_path: Path) -> None:
    kids = ["../evil", "a b", "a\n    http-request allow", "", "é", 'a"', "a" * 129]
    strange = [replace(issuer.signer, kid=kid, jwk={**issuer.signer.jwk, "kid": kid}) for kid in kids]
    issuer.publish(issuer.signer, *strange)
    assert follow(issuer, tmp_path).returncode == 0
    assert contents(tmp_path).keys() == {"1-keys.cfg", f"{issuer.signer.kid}.pem"}
