"""What the systemd unit promises."""

import re
from pathlib import Path

from idp import settings

UNIT = (Path(__file__).parents[2] / "deploy/idp.service").read_text()


def _values(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def test_the_settings_are_complete_and_exist(made_secrets: Path) -> None:
    files = dict(credential.split(":") for credential in _values("LoadCredential"))
    assert (
        {Path(file).name for file in files.values()} == files.keys() <= {file.name for file in made_secrets.iterdir()}
    )
    lines = (line.replace("%d", str(made_secrets)).split("=", 1) for line in _values("Environment"))
    environment = {name: value for name, value in lines if name.startswith("IDP_")}
    _, unknown = settings.from_environment(environment | {"IDP_ISSUER": "https://id.example.com"})
    assert unknown == []


def test_it_runs_with_no_privileges() -> None:
    assert _values("CapabilityBoundingSet") == [""]
    assert not _values("User"), "DynamicUser makes one"
    for switch in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "PrivateUsers"):
        assert _values(switch) == ["yes"]
    assert _values("ProtectSystem") == ["strict"]


def test_it_waits_longer_than_requests_under_way_are_given() -> None:
    from idp.cli.server import SERVER

    assert int(_values("TimeoutStopSec")[0]) > SERVER["timeout_graceful_shutdown"]


def test_a_reload_replaces_the_workers() -> None:
    """To a service of one worker SIGHUP means to stop."""
    [start], [reload] = _values("ExecStart"), _values("ExecReload")
    assert reload == "/bin/kill -HUP $MAINPID"
    workers = re.search(r"--workers (\d+)", start)
    assert workers
    assert int(workers[1]) >= 2
