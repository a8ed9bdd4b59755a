"""`idp users`: people as an operator registers and changes them."""

from pathlib import Path

import pytest

from tests.cli.runs import Idp, on_terminal, process

PASSWORD = "quince-lantern-orbit-47"


@pytest.fixture
def alice(idp: Idp) -> str:
    """The id of somebody registered."""
    arguments = ("users", "add", "Alice@Example.com", "--username", "alice", "--role", "admin", "--role", "ops")
    user_id: str = idp.json(*arguments, "--password-stdin", given=PASSWORD + "\n")["id"]
    return user_id


def test_a_password_from_standard_input_is_never_shown(idp: Idp) -> None:
    run = idp.ok("users", "add", "bob@example.com", "--password-stdin", given=PASSWORD)
    assert "bob@example.com" in run.out
    assert PASSWORD not in run.out + run.err


def test_without_a_terminal_a_password_is_made_and_shown_once(idp: Idp) -> None:
    made = idp.json("users", "add", "bob@example.com")["password"]
    assert len(made) >= 20
    assert made not in idp.ok("users", "show", "bob@example.com").out
    assert made not in idp.ok("users", "list", "--json").out
    assert made not in idp.ok("audit", "--json").out


def test_the_record_has_the_members_of_the_contract(idp: Idp, alice: str) -> None:
    shown = idp.json("users", "show", alice)
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "id": alice,
        "email": "Alice@example.com",
        "username": "alice",
        "roles": ["admin", "ops"],
        "is_active": True,
    }


@pytest.mark.parametrize("name", ["ALICE@example.com", "Alice", "\uff21lice"])
def test_a_person_is_found_by_every_spelling_of_every_name(idp: Idp, alice: str, name: str) -> None:
    assert idp.json("users", "show", name)["id"] == alice


def test_a_username_that_looks_like_an_id_is_found_too(idp: Idp) -> None:
    name = "0b0e7cb4-7a39-4c6f-9c0c-0d3b4a0f7a11"
    made = idp.json("users", "add", "odd@example.com", "--username", name)
    assert idp.json("users", "show", name)["id"] == made["id"]


@pytest.mark.parametrize("command", [("show",), ("disable",), ("enable",), ("set-password", "--password-stdin")])
def test_nobody_is_said_to_be_nobody(idp: Idp, command: tuple[str, ...]) -> None:
    run = idp("users", *command, "nobody@example.com", given=PASSWORD)
    assert run.code == 1
    assert run.err == "idp: There is no user nobody@example.com. `idp users list` shows those there are.\n"


def test_disable_and_enable(idp: Idp, alice: str) -> None:
    assert idp.json("users", "disable", "alice")["is_active"] is False
    assert idp.json("users", "show", "alice")["is_active"] is False
    assert idp.ok("users", "enable", "alice").out == "Enabled Alice@example.com.\n"
    assert idp.json("users", "show", "alice")["is_active"] is True


def test_roles_are_replaced(idp: Idp, alice: str) -> None:
    assert idp.json("users", "set-roles", "alice", "support")["roles"] == ["support"]
    assert idp.json("users", "set-roles", "alice")["roles"] == []


def test_every_change_is_in_the_audit_log_as_the_operators(idp: Idp, alice: str) -> None:
    idp.ok("users", "disable", "alice")
    idp.ok("users", "enable", "alice")
    idp.ok("users", "set-password", "alice", "--password-stdin", given="another-quince-orbit-48")
    idp.ok("users", "set-roles", "alice")
    events = idp.json("audit", "--subject", "alice@example.com")["events"]
    assert [event["event"] for event in reversed(events)] == [
        "user.created",
        "user.disabled",
        "user.enabled",
        "user.password_changed",
        "user.roles_changed",
    ]
    assert {event["actor"] for event in events} == {"operator"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("not-an-address",), "@"),
        (("a@example.com", "--username", "a b"), "username"),
        (("a@example.com", "--role", "a b"), "role"),
        (("alice@EXAMPLE.com",), "taken"),
        (("new@example.com", "--username", "ALICE"), "taken"),
    ],
)
def test_what_cannot_be_registered_is_refused_in_one_sentence(
    idp: Idp, alice: str, arguments: tuple[str, ...], reason: str
) -> None:
    run = idp("users", "add", *arguments, "--json")
    assert (run.code, run.out) == (1, "")
    assert reason in run.err
    assert run.err.count("\n") == 1
    assert len(idp.json("users", "list")["users"]) == 1


@pytest.mark.parametrize(("given", "reason"), [("", "one line"), ("a\nb\n", "one line"), (b"\xff\n", "UTF-8")])
def test_a_password_is_one_line_of_text(idp: Idp, given: str | bytes, reason: str) -> None:
    run = idp("users", "add", "bob@example.com", "--password-stdin", given=given)
    assert run.code == 1
    assert reason in run.err


def test_a_weak_password_is_refused(idp: Idp) -> None:
    run = idp("users", "add", "bob@example.com", "--password-stdin", given="short")
    assert run.code == 1
    assert "15 characters" in run.err


def test_set_password_without_a_terminal_says_how(idp: Idp, alice: str) -> None:
    run = idp("users", "set-password", "alice")
    assert run.code == 2
    assert "--password-stdin" in run.err


def test_the_list_is_complete_and_can_be_cut(idp: Idp, tmp_path: Path) -> None:
    people = tmp_path / "people.jsonl"
    people.write_text("".join(f'{{"email": "user{number}@example.com"}}\n' for number in range(1001)))
    idp.ok("users", "import", people)
    assert len(idp.json("users", "list")["users"]) == 1001
    assert len(idp.json("users", "list", "--limit", "1001")["users"]) == 1001
    assert len(idp.json("users", "list", "--limit", "7")["users"]) == 7
    assert len(idp.ok("users", "list").out.splitlines()) == 1002


def test_an_empty_list_says_what_to_do(idp: Idp) -> None:
    assert "idp users add" in idp.ok("users", "list").out
    assert idp.json("users", "list") == {"users": []}


def test_on_a_terminal_the_password_is_asked_for_twice_and_unseen(idp: Idp) -> None:
    typed = [("Password", PASSWORD + "\n"), ("Once more", "quite-another-one\n"), ("Password", PASSWORD + "\n")]
    run = on_terminal("users", "add", "bob@example.com", typed=[*typed, ("Once more", PASSWORD + "\n")])
    assert run.code == 0, run.out
    assert "do not match" in run.out
    assert "Registered bob@example.com." in run.out
    assert PASSWORD not in run.out


def test_on_a_terminal_a_bad_address_is_refused_before_anything_is_asked(idp: Idp) -> None:
    run = on_terminal("users", "add", "bob")
    assert run.code == 1
    assert "Password" not in run.out


def test_ctrl_c_at_the_prompt_changes_nothing(idp: Idp, alice: str) -> None:
    run = on_terminal("users", "set-password", "alice", typed=[("Password", "\x03")])
    assert run.code == 1
    assert "Stopped; nothing was changed." in run.out


def test_the_real_command_in_a_pipe(idp: Idp) -> None:
    run = process("users", "add", "bob@example.com", "--json", "--password-stdin", given=PASSWORD.encode())
    assert (run.code, run.err) == (0, "")
    assert run.document["email"] == "bob@example.com"
    assert "password" not in run.document
