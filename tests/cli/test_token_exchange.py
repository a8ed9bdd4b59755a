"""The manual on token exchange: its commands work as they stand."""

import os
import re
import shlex
from pathlib import Path
from string import Template

import httpx

from tests.builders import PASSWORD
from tests.cli.runs import Idp
from tests.contract.asking import claims
from tests.service import running, settings_for

MANUAL = Path(__file__).parents[2] / "docs/operations.md"
SECTION = "An API that calls the next one"


def commands() -> list[list[str]]:
    """The commands of the section, as a shell would take them apart."""
    (section,) = re.findall(rf"^## {SECTION}\n(.*?)^## ", MANUAL.read_text(), re.DOTALL | re.MULTILINE)
    lines = "\n".join(re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE))
    return [shlex.split(line) for line in lines.replace("\\\n", "").splitlines() if line]


def test_the_commands_of_the_manual(idp: Idp, database: str) -> None:
    *registrations, exchange = commands()
    secrets = [idp.json(*command[1:]).get("client_secret", "") for command in registrations]
    idp.ok("users", "add", "ada@example.com", "--password-stdin", given=PASSWORD)
    settings = settings_for(database, password_peppers=(os.environb[b"IDP_PASSWORD_PEPPER"],))
    with running(settings) as service, httpx.Client(base_url=service.url) as http:
        login = {"grant_type": "password", "client_id": "shop", "username": "ada@example.com", "password": PASSWORD}
        token = http.post("/token", data=login).json()["access_token"]
        answer = curl(http, exchange, IDP_ISSUER=service.url, SECRET=secrets[-1], TOKEN=token)
    assert answer.status_code == 200, answer.text
    found = claims(answer.json()["access_token"])
    assert (found["aud"], found["act"], found["scope"]) == (
        "https://stock.example.com",
        {"sub": "orders"},
        "stock:read",
    )


def curl(http: httpx.Client, command: list[str], **variables: str) -> httpx.Response:
    """What curl would do: it is not on every machine."""
    program, *words = [Template(word).substitute(variables) for word in command]
    assert (program, words[0], words[2]) == ("curl", "-sS", "-u")
    url, auth = words[1], words[3].partition(":")
    assert words[4::2] == ["-d"] * len(words[4::2])
    return http.post(
        url,
        content="&".join(words[5::2]),
        auth=(auth[0], auth[2]),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
