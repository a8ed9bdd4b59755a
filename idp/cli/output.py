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
        sentence = _sentence(error)
        if sentence is None:
            raise
        _fail(sentence, 1)


def _fail(sentence: str, code: int) -> None:
    click.echo(f"idp: {sentence}", err=True)
    sys.exit(code)


def _sentence(error: Exception) -> str | None:
    """What an operator should read of an error; None for one that nobody expected."""
    import asyncpg

    from idp.directory.clients import InvalidClientMetadata, NoSuchClient
    from idp.directory.people import InvalidRole, NoSuchUser
    from idp.directory.trusted_issuers import InvalidRule, NoSuchRule
    from idp.embedded import EmbeddedPostgresError
    from idp.passwords.rules import WeakPassword
    from idp.protocol.identity import InvalidIdentity
    from idp.settings import SettingsError
    from idp.store.clients import ClientIdTaken
    from idp.store.database import DatabaseUnavailable
    from idp.store.schema import SchemaMismatch
    from idp.store.trusted_issuers import RuleExists
    from idp.store.users import NameTaken
    from keys.jwk import NotAPublicKeyError
    from keys.planning import NoSuchKeyError
    from keys.sealing import UnsealError

    if isinstance(error, SettingsError):
        return "\n     ".join(["the settings are not complete:", *error.problems])
    if isinstance(error, UnsealError):
        return (
            f"{error} Set IDP_KEY_ENCRYPTION_KEY to the keys that were used before. If they are lost, `idp recover` "
            "with a new one revokes every signing key and makes others."
        )
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return f"IDP_DATABASE_URL cannot be used: {error} With sslmode=verify-full, name the CA with sslrootcert=FILE."
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
        return f"the database refuses: {error}. Check IDP_DATABASE_URL."
    if isinstance(error, DatabaseUnavailable | OSError | asyncpg.PostgresConnectionError):
        return f"{error} Check that PostgreSQL runs and that IDP_DATABASE_URL is right."
    expected = (
        EmbeddedPostgresError, SchemaMismatch, InvalidIdentity, WeakPassword, NameTaken, NoSuchUser, InvalidRole,
        InvalidClientMetadata, ClientIdTaken, NoSuchClient, NoSuchKeyError, NotAPublicKeyError,
        InvalidRule, NoSuchRule, RuleExists,
    )  # fmt: skip
    return str(error) if isinstance(error, expected) else None
