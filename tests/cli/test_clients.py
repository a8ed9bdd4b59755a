"""`idp clients`: the applications that may ask for tokens."""

import asyncio
import time
from datetime import datetime

import pytest

from idp.directory.clients import SECRET_OVERLAP
from idp.store import Store
from idp.store.database import Database
from tests.cli.runs import Idp, on_terminal

CHOSEN = "a-secret-that-an-operator-chose-at-random"


def works(database: str, client_id: str, secret: str, *, later: float = 0) -> bool:
    """Whether the client could authenticate with the secret so many seconds from now."""

    async def check() -> bool:
        connections = Database(database)
        await connections.connect()
        client = await Store(connections).clients.find(client_id)
        await connections.disconnect()
        assert client
        return client.has_secret(secret, time.time() + later)

    return asyncio.run(check())


@pytest.fixture
def web(idp: Idp) -> str:
    """The client_id of a confidential client with something in every member."""
    idp.ok(
        *("clients", "add", "web", "--name", "The Web", "--grant", "authorization_code", "--grant", "refresh_token"),
        *("--redirect-uri", "https://web.example/b", "--redirect-uri", "https://web.example/a"),
        *("--post-logout-redirect-uri", "https://web.example/bye", "--origin", "https://web.example"),
        *("--scope", "read", "--scope", "write", "--scope", "read", "--audience", "https://api.example"),
        *("--resource-id", "https://web.example/api"),
        *("--auth-method", "client_secret_post", "--introspect", "--secret-stdin"),
        given=CHOSEN,
    )
    return "web"


def test_every_option_is_in_the_record_under_its_registered_name(idp: Idp, web: str) -> None:
    """RFC 7591 §2. Lists keep their order, because the first audience is the default one."""
    assert idp.json("clients", "show", web) == {
        "client_id": "web",
        "client_name": "The Web",
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": "read write",
        "audiences": ["https://api.example"],
        "redirect_uris": ["https://web.example/b", "https://web.example/a"],
        "post_logout_redirect_uris": ["https://web.example/bye"],
        "origins": ["https://web.example"],
        "introspect": True,
        "jwks": None,
        "jwks_uri": None,
        "dpop_bound_access_tokens": False,
        "impersonate": False,
        "resource_ids": ["https://web.example/api"],
    }


def test_a_secret_is_made_and_shown_once(idp: Idp, database: str) -> None:
    secret = idp.json("clients", "add", "svc")["client_secret"]
    assert len(secret) >= 43
    assert works(database, "svc", secret)
    for command in (("clients", "show", "svc"), ("clients", "list", "--json"), ("audit", "--json")):
        assert secret not in idp.ok(*command).out


def test_a_chosen_secret_is_not_repeated(idp: Idp) -> None:
    run = idp.ok("clients", "add", "svc", "--secret-stdin", given=CHOSEN + "\r\n")
    assert CHOSEN not in run.out + run.err


def test_a_short_chosen_secret_is_refused(idp: Idp) -> None:
    run = idp("clients", "add", "svc", "--secret-stdin", given="hunter2")
    assert run.code == 1
    assert "at least 32" in run.err
    assert "hunter2" not in run.err


def test_without_grants_a_client_gets_those_of_its_kind(idp: Idp) -> None:
    assert idp.json("clients", "add", "svc")["grant_types"] == ["client_credentials"]
    public = idp.json("clients", "add", "app", "--public")
    assert public["grant_types"] == ["authorization_code", "refresh_token"]
    assert public["token_endpoint_auth_method"] == "none"
    assert "client_secret" not in public
    assert "does not answer to authorization_code yet" in idp.ok("clients", "add", "app2", "--public").out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--public", "--secret-stdin"), 2),
        (("--auth-method", "none", "--secret-stdin"), 2),
        (("--public", "--auth-method", "client_secret_basic"), 2),
        (("--grant", "implicit"), 2),
        (("--public", "--grant", "client_credentials"), 1),
        (("--redirect-uri", "http://web.example/cb"), 1),
        (("--audience", "not-a-uri"), 1),
        (("--resource-id", "not-a-uri"), 1),
        (("--origin", "https://web.example/path"), 1),
        (("--scope", "a b"), 1),
    ],
)
def test_what_cannot_be_registered_is_refused(idp: Idp, arguments: tuple[str, ...], code: int) -> None:
    run = idp("clients", "add", "svc", *arguments, given=CHOSEN)
    assert (run.code, run.out) == (code, "")
    assert run.err
    assert idp("clients", "show", "svc").code == 1


def test_a_client_id_is_taken_once_and_never_like_a_users_sub(idp: Idp, web: str) -> None:
    """R21."""
    assert "already" in idp("clients", "add", web).err
    assert "UUID" in idp("clients", "add", "0b0e7cb4-7a39-4c6f-9c0c-0d3b4a0f7a11").err


def test_update_changes_what_is_named_and_nothing_else(idp: Idp, web: str) -> None:
    before = idp.json("clients", "show", web)
    after = idp.json("clients", "update", web, "--scope", "other", "--no-introspect")
    assert after == before | {"scope": "other", "introspect": False}
    assert idp.json("clients", "show", web) == after


def test_update_empties_lists(idp: Idp, web: str) -> None:
    before = idp.json("clients", "show", web)
    after = idp.json("clients", "update", web, "--clear", "scope", "--clear", "origin", "--clear", "grant")
    assert after == before | {"scope": "", "origins": [], "grant_types": []}


def test_update_leaves_the_secret_and_the_kind_alone(idp: Idp, database: str, web: str) -> None:
    idp.ok("clients", "update", web, "--name", "W")
    assert works(database, web, CHOSEN)
    run = idp("clients", "update", web, "--auth-method", "none")
    assert run.code == 2
    assert "remove it and add it again" in run.err
    assert idp("clients", "update", web).code == 2
    assert idp.json("clients", "show", web)["token_endpoint_auth_method"] == "client_secret_post"


def test_the_old_secret_works_on_for_a_stated_time(idp: Idp, database: str, web: str) -> None:
    rotated = idp.json("clients", "rotate-secret", web)
    ends = datetime.fromisoformat(rotated["old_secret_until"]).timestamp()
    assert ends == pytest.approx(time.time() + SECRET_OVERLAP, abs=10)
    assert works(database, web, rotated["client_secret"])
    assert works(database, web, CHOSEN, later=SECRET_OVERLAP - 60)
    assert not works(database, web, CHOSEN, later=SECRET_OVERLAP + 60)


def test_a_leaked_secret_ends_at_once(idp: Idp, database: str, web: str) -> None:
    rotated = idp.json("clients", "rotate-secret", web, "--overlap", "0", "--secret-stdin", given=CHOSEN[::-1])
    assert datetime.fromisoformat(rotated["old_secret_until"]).timestamp() <= time.time() + 1
    assert "client_secret" not in rotated
    assert works(database, web, CHOSEN[::-1])
    assert not works(database, web, CHOSEN)


def test_a_public_client_has_no_secret_to_rotate(idp: Idp) -> None:
    idp.ok("clients", "add", "app", "--public")
    assert "it has no secret" in idp("clients", "rotate-secret", "app").err


def test_remove(idp: Idp, web: str) -> None:
    assert idp.json("clients", "remove", web) == {"client_id": "web", "removed": True}
    assert web not in idp.ok("clients", "list").out
    for command in ("remove", "show", "rotate-secret"):
        run = idp("clients", command, web)
        assert run.code == 1
        assert "There is no client web." in run.err


def test_on_a_terminal_removing_asks_first(idp: Idp, web: str) -> None:
    refused = on_terminal("clients", "remove", web, typed=[("[y/N]", "n\n")])
    assert refused.code == 1
    idp.ok("clients", "show", web)
    agreed = on_terminal("clients", "remove", web, typed=[("[y/N]", "y\n")])
    assert "Removed the client web." in agreed.out
    assert idp("clients", "show", web).code == 1


def test_the_list_is_a_line_for_each_client(idp: Idp, web: str) -> None:
    head, *lines = idp.ok("clients", "list").out.splitlines()
    assert head.split() == ["client_id", "name", "auth_method", "grants", "scope", "audiences"]
    assert len(lines) == len(idp.json("clients", "list")["clients"])


def test_every_change_is_in_the_audit_log_as_the_operators(idp: Idp, web: str) -> None:
    idp.ok("clients", "update", web, "--name", "W")
    idp.ok("clients", "rotate-secret", web)
    idp.ok("clients", "remove", web)
    events = idp.json("audit", "--subject", web)["events"]
    assert [event["event"] for event in reversed(events)] == [
        "client.created",
        "client.updated",
        "client.secret_rotated",
        "client.removed",
    ]
    assert {event["actor"] for event in events} == {"operator"}
