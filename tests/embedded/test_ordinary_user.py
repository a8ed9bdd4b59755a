"""The same as an ordinary user, also where the tests run as root, as they do in a container."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import idp.embedded
from idp.embedded.account import Account, server_account
from idp.embedded.binaries import find_programs, readable_programs

# Two attach to one server; when both have left, it has stopped.
SCENARIO = """
import os, stat, subprocess, sys
from pathlib import Path
from idp.embedded import attach

home = Path(sys.argv[1])
with attach(home) as first, attach(home) as second:
    assert first == second
    assert (home / "cluster" / "data").stat().st_uid == os.geteuid() != 0
    assert stat.S_IMODE((home / "cluster").stat().st_mode) == 0o700
    psql = os.environ["IDP_PG_BIN"] + "/psql"
    subprocess.run([psql, "-XAtq", first, "-c", "SELECT current_user"], check=True)
assert not (home / "cluster" / "data" / "postmaster.pid").exists()
"""

IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 11))"


def test_an_ordinary_user_has_a_server_too(folder: Path) -> None:
    account = server_account()  # for root, that is somebody else
    python = interpreter_for(account)
    programs = readable_programs(find_programs(None), account, folder)
    # Sources and programs may be private to root, but not their copies.
    sources = folder / "sources"
    shutil.copytree(Path(idp.embedded.__file__).parent, sources / "idp" / "embedded")
    own = folder / "own folder"
    own.mkdir()
    account.give(own)
    done = subprocess.run(
        [python, "-c", SCENARIO, own / "home"],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(sources), "IDP_PG_BIN": str(programs.folder)},
        capture_output=True,
        text=True,
        check=False,
        **account.credentials,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("postgres\n", "", 0)


def interpreter_for(account: Account) -> str:
    """A Python that the account may execute; root's own often lies below /root."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            subprocess.run([candidate, "-c", IS_NEW_ENOUGH], check=True, cwd="/", **account.credentials)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    pytest.skip(f"no Python 3.11 or later that {account.name} may execute")
