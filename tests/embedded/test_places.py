"""Where clusters and programs lie, when root's server cannot reach them and when versions differ."""

import os
import shutil
from pathlib import Path

import pytest

from idp.embedded import EmbeddedPostgresError, attach
from idp.embedded.account import server_account
from idp.embedded.binaries import find_programs, readable_programs
from idp.embedded.cluster import Cluster, locate
from tests.embedded.clusters import cluster_of, value

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's server runs as that user")


@pytest.fixture
def private_home(folder: Path) -> Path:
    """A home folder below one that is only ours, as all are below /root."""
    (folder / "private").mkdir(mode=0o700)
    return folder / "private" / "home"


def settle(home: Path, shelf: Path) -> Cluster:
    """Gives the cluster its place, so that `attach` finds it decided."""
    return locate(home, server_account(), shelf=shelf)


@ROOT_ONLY
async def test_a_home_that_the_server_cannot_reach_links_to_the_shelf(private_home: Path, folder: Path) -> None:
    settle(private_home, folder / "shelf")
    with attach(private_home) as dsn:
        assert await value(dsn, "SELECT 1") == 1
        assert cluster_of(private_home).data.is_relative_to((folder / "shelf").resolve())
    assert private_home.parent.stat().st_mode & 0o777 == 0o700


@ROOT_ONLY
def test_the_place_is_kept_until_the_home_folder_is_removed(private_home: Path, folder: Path) -> None:
    first = settle(private_home, folder / "shelf")
    first.data.mkdir()
    assert settle(private_home, folder / "shelf") == first
    shutil.rmtree(private_home)
    second = settle(private_home, folder / "shelf")
    assert second.folder != first.folder
    assert not second.data.exists()


@ROOT_ONLY
def test_a_link_that_leads_nowhere_is_an_error_not_a_new_database(private_home: Path, folder: Path) -> None:
    cluster = settle(private_home, folder / "shelf")
    shutil.rmtree(cluster.folder)
    with (
        pytest.raises(EmbeddedPostgresError, match="which is gone: restore that folder"),
        attach(private_home),
    ):
        pass


@ROOT_ONLY
def test_a_home_that_became_unreachable_says_what_to_do(folder: Path) -> None:
    middle = folder / "middle"
    settle(middle / "home", folder / "shelf")
    middle.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match=r"cannot reach .*chmod o\+x"), attach(middle / "home"):
        pass


@ROOT_ONLY
async def test_programs_in_a_private_folder_are_copied(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = find_programs(None)
    vault = folder / "vault"
    vault.mkdir(mode=0o700)
    private = readable_copy(installed.folder.parents[1], vault)
    monkeypatch.setenv("IDP_PG_BIN", str(private / installed.folder.parent.name / "bin"))
    with attach(home) as dsn:
        assert await value(dsn, "SELECT 1") == 1
    assert (home / "cluster" / f"programs-{installed.version}").is_dir()


def readable_copy(package: Path, vault: Path) -> Path:
    """A private installation of the wheel: the package, and the libraries beside it."""
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, vault / libraries.name)
    return Path(shutil.copytree(package, vault / package.name, ignore=shutil.ignore_patterns("include", "doc")))


def test_programs_within_reach_are_used_where_they_are(folder: Path) -> None:
    programs = find_programs(None)
    if not server_account().can_reach(programs.postgres):
        pytest.skip("this environment lies in a private folder")
    assert readable_programs(programs, server_account(), folder) == programs


def test_the_newest_wheel_is_preferred() -> None:
    assert find_programs(None).major == 18


def test_data_of_another_version_are_refused_with_advice(home: Path) -> None:
    cluster = cluster_of(home)
    cluster.data.mkdir()
    (cluster.data / "PG_VERSION").write_text("9\n")
    with (
        pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 9, but only .* set IDP_PG_BIN"),
        attach(home),
    ):
        pass
    assert (cluster.data / "PG_VERSION").read_text() == "9\n"


async def test_data_of_an_older_version_go_on_with_its_programs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = [major for major in (15, 16, 17) if has_programs(major)]
    if not older:
        pytest.skip("no older PostgreSQL is installed")
    with monkeypatch.context() as patch:
        patch.setenv("IDP_PG_BIN", str(find_programs(older[0]).folder))
        with attach(home):
            pass
    with attach(home) as dsn:
        assert str(await value(dsn, "SHOW server_version")).startswith(str(older[0]))


def has_programs(major: int) -> bool:
    try:
        return bool(find_programs(major))
    except EmbeddedPostgresError:
        return False


def test_an_override_without_programs_is_refused(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDP_PG_BIN", str(folder))
    with pytest.raises(EmbeddedPostgresError, match="holds no PostgreSQL"), attach(home):
        pass
