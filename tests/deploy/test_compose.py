"""What docker-compose.yml promises: the format's own rules, hardened services, no secret in it, settings that exist."""

import importlib.resources
import ipaddress
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from idp import settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROXY = (ROOT / "deploy/haproxy.cfg").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
INSTANCES = ("idp-1", "idp-2")
OURS = (*INSTANCES, "migrate")

each_service = pytest.mark.parametrize("name", SERVICES)


def test_it_follows_the_compose_specification() -> None:
    schemas = importlib.resources.files("check_jsonschema") / "builtin_schemas/vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(COMPOSE)


@each_service
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), "a user by number, and not root"
    assert {"pids_limit", "mem_limit", "cpus", "restart", "tmpfs", "logging"} <= service.keys()
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & service.keys()


@each_service
def test_everything_that_stays_is_looked_after(name: str) -> None:
    service = SERVICES[name]
    if name == "migrate":
        assert service["healthcheck"] == {"disable": True}
    elif "build" in service:
        stage = (ROOT / "Dockerfile").read_text().split(f" AS {service['build']['target']}\n")[1].split("\nFROM ")[0]
        assert "\nHEALTHCHECK " in stage
    else:
        assert service["healthcheck"]["test"][0] == "CMD"


@each_service
def test_images_of_others_have_a_version(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or re.search(r":\d", service["image"])


@each_service
def test_ports_are_on_loopback_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_nobody_outside_reaches_the_database_or_an_instance() -> None:
    assert COMPOSE["networks"]["data"]["internal"] is True
    assert COMPOSE["networks"]["back"]["internal"] is True
    assert _members("data") == {"db", *OURS}
    assert not any("ports" in SERVICES[name] for name in _members("data"))


def test_r20_trusted_proxies_are_the_network_of_the_one_proxy() -> None:
    (pool,) = COMPOSE["networks"]["back"]["ipam"]["config"]
    assert ipaddress.ip_network(pool["subnet"]).is_private
    assert _members("back") == {"proxy", *INSTANCES}
    assert {SERVICES[name]["environment"]["IDP_TRUSTED_PROXIES"] for name in INSTANCES} == {pool["subnet"]}


def _members(network: str) -> set[str]:
    return {name for name, service in SERVICES.items() if network in service["networks"]}


@each_service
def test_p7_no_secret_is_written_here(name: str) -> None:
    service = SERVICES[name]
    assert "env_file" not in service
    for variable, value in service.get("environment", {}).items():
        if re.search(r"SECRET|PASSWORD|PEPPER|KEY|TOKEN|DATABASE_URL|SMTP_URL", variable):
            assert variable.endswith("_FILE")
            assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_the_example_gets_no_secret() -> None:
    assert not SERVICES["example"].get("secrets")
    assert not SERVICES["example"].get("volumes")


@pytest.mark.parametrize("name", OURS)
def test_the_settings_are_complete_and_exist(name: str, made_secrets: Path) -> None:
    configured, unknown = settings.from_environment(dict(_environment(name, made_secrets)))
    assert unknown == []
    assert configured.issuer == "http://localhost:8000"
    assert configured.hash_concurrency == SERVICES[name]["cpus"]


def test_the_database_is_made_with_the_password_that_the_instances_have(made_secrets: Path) -> None:
    postgres = dict(_environment("db", made_secrets))
    configured, _ = settings.from_environment(dict(_environment("idp-1", made_secrets)))
    user, database = postgres["POSTGRES_USER"], postgres["POSTGRES_DB"]
    password = Path(postgres["POSTGRES_PASSWORD_FILE"]).read_text()
    assert configured.database_url == f"postgresql://{user}:{password}@db:5432/{database}"


def _environment(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """The variables that a service sees when whoever starts it has set none, the secrets being in `folder`."""
    for variable, value in SERVICES[name]["environment"].items():
        by_default = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
        yield variable, by_default.replace("/run/secrets", str(folder))


def test_the_schema_is_current_before_an_instance_starts() -> None:
    assert SERVICES["migrate"]["command"] == ["migrate"]
    assert SERVICES["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    for name in INSTANCES:
        assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_the_proxy_knows_all_instances() -> None:
    assert re.findall(r"^    server (\S+) (\S+)$", PROXY, re.MULTILINE) == [
        (name, f"{name}:8000") for name in INSTANCES
    ]
    assert "option httpchk GET /readyz" in PROXY


def test_r20_the_proxy_believes_no_caller() -> None:
    assert PROXY.index("http-request del-header X-Forwarded-For") < PROXY.index("option forwardfor")


def test_the_secrets_are_made_by_the_script(made_secrets: Path) -> None:
    files = {Path(secret["file"]) for secret in COMPOSE["secrets"].values()}
    assert {file.parent for file in files} == {Path("deploy/secrets")}
    assert {file.name for file in files} == {file.name for file in made_secrets.iterdir()} - {".gitignore"}


def test_the_secrets_are_their_owners_and_never_committed(made_secrets: Path) -> None:
    assert made_secrets.stat().st_mode & 0o777 == 0o700
    assert (made_secrets / ".gitignore").read_text() == "*\n"
    assert "deploy" not in (ROOT / ".dockerignore").read_text(), "and never part of an image"


def test_the_script_keeps_secrets_that_are_there(made_secrets: Path) -> None:
    before = {file: file.read_text() for file in made_secrets.iterdir()}
    again = subprocess.run(["sh", ROOT / "deploy/make-secrets", made_secrets], capture_output=True, check=False)
    assert again.returncode == 1
    assert {file: file.read_text() for file in made_secrets.iterdir()} == before
