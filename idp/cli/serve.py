"""`idp serve`: the service in production, configured by the environment, on an external PostgreSQL."""

import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence

import click

from idp import log, settings
from idp.cli import imported_for_good
from idp.cli.output import explained, run
from idp.cli.server import listen, run_in_process
from idp.cli.workers import Workers
from idp.http.accepting import Loads, Place
from idp.settings import Settings
from idp.store import schema


@click.command
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes to serve with.")
@click.option("--migrate", is_flag=True, help="Bring the schema up to date first.")
def command(host: str, port: int, workers: int, migrate: bool) -> None:
    """Runs the service, configured by IDP_* variables (docs/operations.md lists them)."""
    configured, unknown = settings.from_environment(os.environ)
    log.configure(configured.log_format, configured.log_level)
    for warning in [*configured.warnings, *(f"{name} is not a setting of this version." for name in unknown)]:
        click.echo(f"idp: warning: {warning}", err=True)
    run(_prepare(configured, migrate=migrate))
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(listening) for listening in listen(host, port)]
        stack.enter_context(_counting_together(workers))
        sys.exit(_serve(configured, sockets, workers))


async def _prepare(configured: Settings, *, migrate: bool) -> None:
    """Refuses early and in the clear what would make a worker fail later."""
    if migrate:
        await schema.migrate(configured.database_url)
    schema.check(await schema.read(configured.database_url), schema.code_revision())


@contextlib.contextmanager
def _counting_together(workers: int) -> Iterator[None]:
    """A folder through which several workers count together. `prometheus_client` looks for it when it is imported."""
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="idp-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


def _serve(configured: Settings, sockets: Sequence[socket.socket], workers: int) -> int:
    """Serves until it is told to stop. Gives the exit code."""
    with imported_for_good():
        from idp import app, metrics  # not earlier, see above
        from idp.parts import Parts

    host, port = sockets[0].getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def announce() -> None:
        click.echo(f"idp: serving {configured.issuer} at http://{address} with {workers} worker(s)", err=True)

    def work(ready: Callable[[], None], place: Place | None = None) -> int:
        with explained():
            # Read anew, for workers that replace others after SIGHUP: files with secrets may have changed.
            current, _ = settings.from_environment(os.environ)
            application = app.build(current, Parts.of(current, workers=workers))
            return run_in_process(application, sockets, ready, place)

    if workers == 1:
        return work(announce)
    loads = Loads()

    def work_in(slot: int, ready: Callable[[], None]) -> int:
        metrics.count_in(slot)
        return work(ready, Place(loads, slot))

    def bury(slot: int) -> None:
        metrics.forget_worker(slot)
        loads.forget(slot)

    return Workers(workers, work_in, sockets=sockets, bury=bury).run(announce)
