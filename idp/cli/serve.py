"""`idp serve`: the service in production, configured by the environment, on an external PostgreSQL."""

import os
import socket
import sys
import tempfile

import click
import uvicorn
from uvicorn.supervisors import Multiprocess

from idp import app, log, settings
from idp.cli.output import run
from idp.cli.server import SERVER, listen, run_in_process, stop_quietly
from idp.settings import Settings
from idp.store import schema


@click.command
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes to serve with.")
@click.option("--migrate", is_flag=True, help="Bring the schema up to date first.")
def command(host: str, port: int, workers: int, migrate: bool) -> None:
    """Runs the service, configured by IDP_* variables (see the README for the list)."""
    configured, unknown = settings.from_environment(os.environ)
    log.configure(configured.log_format, configured.log_level)
    for warning in [*configured.warnings, *(f"{name} is not a setting of this version." for name in unknown)]:
        click.echo(f"idp: warning: {warning}", err=True)
    run(_prepare(configured, migrate=migrate))
    sockets = listen(host, port)
    address = "{}:{}".format(*sockets[0].getsockname()[:2])
    announce = f"idp: serving {configured.issuer} at http://{address} with {workers} worker(s)"
    if workers == 1:
        application = app.build(configured, app.parts(configured))
        sys.exit(run_in_process(application, sockets, announce=lambda: click.echo(announce, err=True)))
    click.echo(announce, err=True)
    _run_workers(workers, sockets)


async def _prepare(configured: Settings, *, migrate: bool) -> None:
    """Refuses early and in the clear what would make a worker fail later."""
    if migrate:
        await schema.migrate(configured.database_url)
    schema.check(await schema.read(configured.database_url), schema.code_revision())


def _run_workers(workers: int, sockets: list[socket.socket]) -> None:
    """uvicorn's supervisor over the sockets; the workers count their metrics together in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="idp-metrics-") as folder:
        os.environ |= {"PROMETHEUS_MULTIPROC_DIR": folder, "IDP_WORKERS": str(workers)}
        config = uvicorn.Config("idp.app:worker", factory=True, workers=workers, **SERVER)
        stop_quietly()
        Multiprocess(config, sockets=sockets).run()
