"""How the command line speaks: for people by default, one JSON document with `--json`, errors in one sentence."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import click
import orjson

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Adds `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")(command)


def show(document: Any, *, as_json: bool, text: str) -> None:
    """Prints the document, or the same for people."""
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() if as_json else text)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs asynchronous work to its end."""
    return asyncio.run(work)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turns every expected failure into one sentence that says what to do, and the exit code that belongs to it."""
    try:
        yield
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.Abort:
        _fail("Stopped; nothing was changed.", 1)
    except click.ClickException as error:
        error.show()
        sys.exit(2 if isinstance(error, click.UsageError) else 1)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        from idp.cli import failures  # it imports what nobody needs who meets none

        sentence = failures.sentence(error)
        if sentence is None:
            raise
        _fail(sentence, 1)


def _fail(sentence: str, code: int) -> None:
    click.echo(f"idp: {sentence}", err=True)
    sys.exit(code)
