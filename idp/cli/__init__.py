"""The command `idp`. Each command is a file that is imported when it is called, so that none waits for another."""

import contextlib
import gc
import importlib
import sys
from collections.abc import Iterator, Sequence

import click

COMMANDS = {
    "audit": "reads the audit log",
    "clients": "registers and changes clients",
    "dev": "runs the real service on an embedded PostgreSQL",
    "doctor": "checks the installation and says what to do",
    "issuers": "says which outside issuers are trusted",
    "keys": "shows and changes the signing keys",
    "migrate": "brings the schema up to date",
    "recover": "revokes what a restored backup holds",
    "serve": "runs the service in production",
    "users": "registers and changes people",
}


@contextlib.contextmanager
def imported_for_good() -> Iterator[None]:
    """Around imports: the garbage collector neither looks at what they make, nor ever will.

    It would find nothing, again and again, which takes a tenth of a start; and in workers that share that memory, each
    look would make pages of it their own.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class _Commands(click.Group):
    """Finds `idp X` in `idp/cli/X.py`, as a command named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        with imported_for_good():
            command: click.Command = importlib.import_module(f"idp.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="idp", message="%(version)s")
def idp() -> None:
    """A standalone identity provider: issues tokens that verify offline."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command. Errors are one sentence on standard error; exit code 1, or 2 for wrong usage."""
    from idp.cli.output import explained

    with explained():
        sys.exit(idp.main(arguments, standalone_mode=False))
