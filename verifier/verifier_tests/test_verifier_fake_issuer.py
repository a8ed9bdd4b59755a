"""The test kit keeps its own promises: what `fake_issuer` is told to do is what a Verifier meets."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from idp_verifier import (
    DpopProof,
    InvalidProof,
    KeysUnavailable,
    ProofRequired,
    RevokedToken,
    StatusUnavailable,
    UnknownKey,
    Verifier,
    WrongAudience,
)
from idp_verifier.fake_issuer import FakeIssuer
from idp_verifier.testing import JWKS_PATH, Signer


@pytest.fixture(scope="session")
def fake_issuer_key() -> Signer:
    return Signer.generate("ES256")


@pytest.fixture
def verifier(fake_issuer: FakeIssuer) -> Iterator[Verifier]:
    with fake_issuer.verifier(timeout=0.5) as verifier:
        yield verifier


def test_tokens_are_as_asked_for(fake_issuer: FakeIssuer, verifier: Verifier) -> None:
    claims = verifier.verify_sync(fake_issuer.token(sub="ana", scope="read write", roles=["admin"], username=None))
    assert (claims.sub, claims.roles, claims.username) == ("ana", ("admin",), None)
    assert claims.scopes == {"read", "write"}
    with pytest.raises(WrongAudience):
        verifier.verify_sync(fake_issuer.token(aud="https://other.example.com"))


def test_a_rotation_harms_nobody(fake_issuer: FakeIssuer, verifier: Verifier) -> None:
    before = fake_issuer.token()
    fake_issuer.rotate()
    assert verifier.verify_sync(before)
    assert verifier.verify_sync(fake_issuer.token())


def test_revoked_keys_end_with_max_age(fake_issuer: FakeIssuer, verifier: Verifier) -> None:
    before = fake_issuer.token()
    assert verifier.verify_sync(before)
    fake_issuer.rotate()
    fake_issuer.revoke_old_keys()
    assert verifier.verify_sync(before)
    fake_issuer.clock.advance(301)
    with pytest.raises(UnknownKey):
        verifier.verify_sync(before)


def test_stale_keys_hide_a_rotation_until_they_are_gone(fake_issuer: FakeIssuer, verifier: Verifier) -> None:
    fake_issuer.serve_stale_keys()
    before = fake_issuer.token()
    fake_issuer.rotate()
    with pytest.raises(UnknownKey):
        verifier.verify_sync(fake_issuer.token())
    assert verifier.verify_sync(before)
    fake_issuer.recover()
    fake_issuer.clock.advance(31)
    assert verifier.verify_sync(fake_issuer.token())


def test_a_stalled_issuer_is_waited_for_no_longer_than_stated(fake_issuer: FakeIssuer, verifier: Verifier) -> None:
    fake_issuer.stall()
    with pytest.raises(KeysUnavailable):
        verifier.verify_sync(fake_issuer.token())


def test_a_test_may_end_in_the_middle_of_a_fault(fake_issuer_key: Signer) -> None:
    with FakeIssuer(fake_issuer_key) as issuer, issuer.verifier(timeout=0.05) as verifier:
        issuer.stall()
        with pytest.raises(KeysUnavailable):
            verifier.verify_sync(issuer.token())
        issuer.go_down()
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(timeout=10)
            assert not thread.is_alive()
    assert issuer._place is None


def test_a_bound_token_needs_its_client(fake_issuer: FakeIssuer, verifier: Verifier) -> None:
    client, uri = fake_issuer.client(), "https://api.example.com/things"
    token = fake_issuer.token(cnf=client.cnf)
    with pytest.raises(ProofRequired):
        verifier.verify_sync(token)
    fake_issuer.clock.advance(100)  # the client's clock is the same
    assert verifier.verify_sync(token, DpopProof("GET", uri, client.proof("GET", uri, token)))
    thief = fake_issuer.client("EdDSA")
    with pytest.raises(InvalidProof, match="key of the proof"):
        verifier.verify_sync(token, DpopProof("GET", uri, thief.proof("GET", uri, token)))


def test_a_revoked_token_is_refused_within_the_ttl_of_the_list(fake_issuer: FakeIssuer, verifier: Verifier) -> None:
    revoked, other = fake_issuer.revocable_token(), fake_issuer.revocable_token(sub="ana")
    assert verifier.verify_sync(revoked)
    fake_issuer.revoke(revoked)
    fake_issuer.clock.advance(100)
    with pytest.raises(RevokedToken):
        verifier.verify_sync(revoked)
    assert verifier.verify_sync(other).sub == "ana"
    fake_issuer.clock.advance(700)  # beyond the exp of that list: there is a newer one
    assert verifier.verify_sync(other)


def test_statuses_go_on_after_a_rotation_and_end_with_an_outage(fake_issuer: FakeIssuer, verifier: Verifier) -> None:
    token = fake_issuer.revocable_token()
    fake_issuer.rotate()
    assert verifier.verify_sync(token)
    fake_issuer.go_down()
    fake_issuer.clock.advance(599)
    assert verifier.verify_sync(token)
    fake_issuer.clock.advance(1)
    with pytest.raises(StatusUnavailable):
        verifier.verify_sync(token)


def test_g8_a_flood_of_kids_costs_one_fetch(fake_issuer: FakeIssuer, verifier: Verifier) -> None:
    good = fake_issuer.token()
    for forged in fake_issuer.forged_kids(100):
        with pytest.raises(UnknownKey):
            verifier.verify_sync(forged)
        assert verifier.verify_sync(good)
    assert fake_issuer.fetches == 2


@pytest.mark.parametrize("fault", [FakeIssuer.go_down, FakeIssuer.fail])
def test_an_outage_is_survived_for_a_day(fake_issuer: FakeIssuer, verifier: Verifier, fault: object) -> None:
    assert callable(fault)
    assert verifier.verify_sync(fake_issuer.token())
    fault(fake_issuer)
    fake_issuer.clock.advance(8 * 3600)
    assert verifier.verify_sync(fake_issuer.token())
    fake_issuer.clock.advance(16 * 3600)
    with pytest.raises(KeysUnavailable):
        verifier.verify_sync(fake_issuer.token())
    fake_issuer.recover()
    fake_issuer.clock.advance(31)
    assert verifier.verify_sync(fake_issuer.token())


def test_down_is_refused_and_back_is_at_the_same_address(fake_issuer: FakeIssuer) -> None:
    url = fake_issuer.url + JWKS_PATH
    for _ in range(2):
        fake_issuer.go_down()
        fake_issuer.go_down()
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
        fake_issuer.come_back()
        assert httpx.get(url).status_code == 200


def test_runs_without_it_do_not_load_the_library(tmp_path: Path) -> None:
    """pytest loads every plugin that is installed; this one must cost nothing until it is asked."""
    test = tmp_path / "test_alone.py"
    test.write_text(
        "import sys\n"
        "def test_first():\n"
        "    assert 'pytest_idp_verifier' in sys.modules and 'idp_verifier' not in sys.modules\n"
        "def test_then(fake_issuer):\n"
        "    assert fake_issuer.signer.alg == 'RS256' and fake_issuer.token()\n"
    )
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # other plugins take their time
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "idp_verifier", str(test)]
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_library_does_not_need_pytest() -> None:
    script = "import sys, idp_verifier, idp_verifier.fake_issuer; sys.exit('pytest' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
