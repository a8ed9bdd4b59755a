"""`idp users import`: all people of a file or none, and for each line that is wrong the reason."""

import asyncio
import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import bcrypt
import pytest

from idp.passwords.hashing import parse_foreign
from tests.cli.runs import Idp, on_terminal, process

PASSWORD = "quince-lantern-orbit-47"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
TOO_COSTLY = HASH.replace("$04$", "$15$")
OURS = f"$hmac-sha256-bcrypt$p={'0' * 12}{HASH}"


def rows(database: str, query: str) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(database)
        try:
            return [dict(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(read())


def jsonl(folder: Path, *people: Mapping[str, Any] | str) -> Path:
    file = folder / "people.jsonl"
    file.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in people))
    return file


def test_json_lines_bring_people_with_all_they_have(idp: Idp, database: str, tmp_path: Path) -> None:
    complete = {
        "email": "A@Example.com",
        "username": "ann",
        "password_hash": HASH.replace("$2b$", "$2y$"),
        "roles": ["ops", "admin", "ops"],
        "is_active": False,
    }
    bare = {"email": "b@example.com", "username": None, "password_hash": None, "roles": None, "is_active": None}
    file = jsonl(tmp_path, complete, "", bare)
    assert idp.json("users", "import", file) == {"imported": 2, "problems": []}
    stored = rows(database, "select * from users order by email_key")
    assert [
        {name: row[name] for name in (*complete, "email_key", "username_key", "foreign_cost")} for row in stored
    ] == [
        {
            **complete,
            "email": "A@example.com",
            "email_key": "a@example.com",
            "username_key": "ann",
            "roles": ["ops", "admin"],
            "foreign_cost": 4,
        },
        {
            "email": "b@example.com",
            "username": None,
            "password_hash": None,
            "roles": [],
            "is_active": True,
            "email_key": "b@example.com",
            "username_key": None,
            "foreign_cost": None,
        },
    ]


def test_csv_brings_the_same(idp: Idp, database: str, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(
        "\ufeffemail,roles,is_active,password_hash,username\r\n"
        f'a@example.com,"ops admin",f,{HASH},ann\r\n'
        "\r\n"
        "b@example.com,ops;admin,TRUE,,\r\n"
        "c@example.com,,,,\r\n"
    )
    assert idp.ok("users", "import", file).out == "Imported 3 people.\n"
    stored = rows(database, "select username, roles, is_active, password_hash from users order by email_key")
    assert [tuple(row.values()) for row in stored] == [
        ("ann", ["ops", "admin"], False, HASH),
        (None, ["ops", "admin"], True, None),
        (None, [], True, None),
    ]


def test_the_audit_log_has_one_event_with_the_count(idp: Idp, tmp_path: Path) -> None:
    idp.ok("users", "import", jsonl(tmp_path, {"email": "a@example.com"}, {"email": "b@example.com"}))
    (event,) = idp.json("audit", "--event", "users.imported")["events"]
    assert (event["event"], event["actor"], event["detail"]) == ("users.imported", "operator", {"count": "2"})


WRONG: list[tuple[Mapping[str, Any] | str, str]] = [
    ("{", "The line is not JSON in UTF-8."),
    ("[]", "The line is not a JSON object."),
    ({"username": "ann"}, "The member email is missing."),
    ({"email": 7}, "The member email must be a string."),
    ({"email": "a@"}, "There must be something after the @-sign."),
    ({"email": "a@example.com", "username": "a b"}, "A username consists of"),
    ({"email": "a@example.com", "password_hash": "secret"}, "Only bcrypt hashes can be imported"),
    ({"email": "a@example.com", "password_hash": TOO_COSTLY}, "can be 14 at most"),
    ({"email": "a@example.com", "password_hash": OURS}, "bound to its pepper"),
    ({"email": "a@example.com", "roles": "admin"}, "The member roles must be an array of strings."),
    ({"email": "a@example.com", "roles": ["a b"]}, "A role must be"),
    ({"email": "a@example.com", "is_active": "yes"}, "The member is_active must be true or false."),
    ({"email": "a@example.com", "password": None}, "The member password is not known"),
    ({"email": "a@example.com", HASH: None}, "The name of a member is not known"),
    ({"email": "FIRST@example.com"}, "The e-mail address is that of line 1."),
    ({"email": "a@example.com", "username": "First"}, "The username is that of line 1."),
    ({"email": "there@example.com"}, "Taken already: e-mail address."),
    ({"email": "b@example.com", "username": "THERE"}, "Taken already: username."),
    ({"email": "again@example.com", "username": "again"}, "Taken already: e-mail address and username."),
    (json.dumps({"email": "a@example.com", "roles": ["x" * 60] * 1200}), "longer than"),
]


def test_every_wrong_line_is_reported_and_nothing_is_imported(idp: Idp, database: str, tmp_path: Path) -> None:
    idp.ok("users", "add", "there@example.com", "--username", "there")
    idp.ok("users", "add", "again@example.com", "--username", "again")
    first = {"email": "first@example.com", "username": "first"}
    file = jsonl(tmp_path, first, *(line for line, _ in WRONG), {"email": "good@example.com"})
    run = idp("users", "import", file, "--json")
    assert run.code == 1
    assert run.err == (
        f"Error: {len(WRONG)} of {len(WRONG) + 2} lines cannot be imported, so nothing was. "
        "Correct them and import again.\n"
    )
    problems = run.document["problems"]
    assert [problem["line"] for problem in problems] == [*range(2, len(WRONG) + 2)]
    for problem, (_, reason) in zip(problems, WRONG, strict=True):
        assert reason in problem["reason"]
    assert {user["username"] for user in idp.json("users", "list")["users"]} == {"there", "again"}
    assert "users.imported" not in idp.ok("audit").out


def test_people_before_a_wrong_line_are_taken_back(idp: Idp, database: str, tmp_path: Path) -> None:
    """The wrong line comes after batches that were stored already."""
    people = [{"email": f"user{number}@example.com"} for number in range(5000)]
    run = idp("users", "import", jsonl(tmp_path, *people, {"email": "user0@example.com"}))
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith("line 5001: The e-mail address is that of line 1.\n")
    assert rows(database, "select count(*) as people from users") == [{"people": 0}]


@pytest.mark.parametrize("name", ["email", "username", "roles", "is_active", "password_hash", "x"])
def test_no_report_repeats_a_hash_in_whatever_column(idp: Idp, tmp_path: Path, name: str) -> None:
    """L1: columns get mixed up, and a file may have no header."""
    broken = HASH[:-1]
    text = io.StringIO()
    member = csv.DictWriter(text, ["email", name] if name != "email" else ["email"])
    member.writeheader()
    member.writerow({"email": "a@example.com", name: broken})
    for written in (text.getvalue(), f"{broken},a@example.com\n"):
        run = idp("users", "import", "-", "--format", "csv", given=written)
        assert run.code == 1
        assert broken[8:] not in run.out + run.err
    run = idp("users", "import", jsonl(tmp_path, {"email": "a@example.com", name: broken}))
    assert broken[8:] not in run.out + run.err


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("email,pass word\n", 1, "The first line must be a header."),
        ("email,email\n", 1, "The header names a column twice."),
        ("email,username\na@example.com\n", 2, "The line has 1 columns, the header 2."),
        ('email\n"a@example.com\nb@example.com\n', 2, "From here on the file cannot be read"),
        ("email\na@example.com\nb\xff@example.com\n", 3, "The line is not UTF-8 text."),
        ("email,is_active\na@example.com,perhaps\n", 2, "true or false"),
        ("email,username\na@example.com," + "x" * 70_000, 2, "longer than"),
    ],
)
def test_what_is_no_csv_is_reported_with_its_line(idp: Idp, text: str, line: int, reason: str) -> None:
    run = idp("users", "import", "-", "--format", "csv", "--json", given=text.encode("latin-1"))
    (problem,) = run.document["problems"]
    assert (run.code, problem["line"]) == (1, line)
    assert reason in problem["reason"]


def test_a_record_over_several_lines_counts_from_its_first(idp: Idp) -> None:
    text = 'email,username\na@example.com,"two\nlines"\nb@,bea\n'
    run = idp("users", "import", "-", "--format", "csv", "--json", given=text)
    assert [problem["line"] for problem in run.document["problems"]] == [2, 4]


def test_control_characters_of_the_file_do_not_reach_the_terminal(idp: Idp, tmp_path: Path) -> None:
    run = idp("users", "import", jsonl(tmp_path, {"email": "\x1b[2Ja@exam\x1bple.com"}))
    assert run.code == 1
    assert "\x1b" not in run.err


def test_a_file_that_does_not_say_its_format_is_a_usage_error(idp: Idp, tmp_path: Path) -> None:
    (tmp_path / "people.txt").write_text("")
    for name in ("people.txt", "-"):
        run = idp("users", "import", name)
        assert run.code == 2
        assert "--format" in run.err


def test_an_imported_hash_is_stored_in_the_form_that_is_verified(idp: Idp, database: str, tmp_path: Path) -> None:
    idp.ok("users", "import", jsonl(tmp_path, {"email": "a@example.com", "password_hash": HASH}))
    (stored,) = rows(database, "select password_hash from users")
    assert parse_foreign(stored["password_hash"]).is_made_of(PASSWORD.encode(), bcrypt.hashpw)


def test_a_pipe_and_a_terminal(idp: Idp, tmp_path: Path) -> None:
    run = process("users", "import", "-", "--format", "jsonl", "--json", given=b'{"email": "a@example.com"}\n')
    assert (run.code, run.err) == (0, "")
    assert run.document == {"imported": 1, "problems": []}
    watched = on_terminal("users", "import", jsonl(tmp_path, {"email": "b@example.com"}))
    assert watched.code == 0
    assert "Importing" in watched.out
    assert "Imported 1 people." in watched.out
