"""The wheel, alone in an environment: what comes with it, and what works without any framework."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

VERIFIER = Path(__file__).parents[1]
PACKAGES = {"idp-verifier", "cryptography", "cffi", "pycparser"}

LIST = """
import importlib.metadata, json
print(json.dumps([distribution.name for distribution in importlib.metadata.distributions()]))
"""
USE = """
import importlib.util, sys
import idp_verifier, idp_verifier.asgi, idp_verifier.wsgi
from idp_verifier.fake_issuer import FakeIssuer

with FakeIssuer() as issuer, issuer.verifier() as verifier:
    assert verifier.verify_sync(issuer.token(sub="ana")).sub == "ana"
for name in ("starlette", "fastapi", "flask", "pytest", "orjson"):
    assert importlib.util.find_spec(name) is None
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made as `pip wheel` would, but with what is here: nothing is fetched."""
    pytest.importorskip("hatchling", reason="hatchling is not installed, and to fetch it takes a network")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=VERIFIER, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel, and what it requires, taken from our own environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    interpreter = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(interpreter), "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (metadata,) = importlib.metadata.distributions(name="idp-verifier", path=[str(site_packages)])
    for distribution in _required_by(metadata):
        _copy(distribution, site_packages)
    return interpreter


def _required_by(distribution: importlib.metadata.Distribution) -> Iterator[importlib.metadata.Distribution]:
    for text in distribution.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            required = importlib.metadata.distribution(requirement.name)
            assert requirement.specifier.contains(required.version)
            yield required
            yield from _required_by(required)


def _copy(distribution: importlib.metadata.Distribution, site_packages: Path) -> None:
    for file in distribution.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = site_packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)


def test_these_packages_come_with_it(python: Path) -> None:
    listed = subprocess.run([python, "-I", "-c", LIST], check=True, capture_output=True, text=True).stdout
    assert set(json.loads(listed)) == PACKAGES


def test_it_works_without_a_framework(python: Path) -> None:
    done = subprocess.run([python, "-I", "-c", USE], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_wheel_holds_the_library_and_nothing_else(python: Path) -> None:
    (site_packages,) = python.parents[1].glob("lib/python*/site-packages")
    (distribution,) = importlib.metadata.distributions(name="idp-verifier", path=[str(site_packages)])
    files = [file for file in distribution.files or () if "__pycache__" not in file.parts]
    assert {file.parts[0].partition("-")[0] for file in files} == {"idp_verifier", "pytest_idp_verifier.py"}
    assert "idp_verifier/py.typed" in map(str, files)
    assert [(point.group, point.value) for point in distribution.entry_points] == [("pytest11", "pytest_idp_verifier")]
