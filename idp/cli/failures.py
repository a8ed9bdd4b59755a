"""What an operator reads of a failure: what is so, and what to do about it."""

import errno
from collections.abc import Iterator

import asyncpg

from idp.directory.clients import InvalidClientMetadata, NoSuchClient
from idp.directory.people import InvalidRole, NoSuchUser
from idp.directory.trusted_issuers import InvalidRule, NoSuchRule
from idp.embedded import EmbeddedPostgresError
from idp.passwords.rules import WeakPassword
from idp.protocol.identity import InvalidIdentity
from idp.settings import SettingsError
from idp.store.clients import ClientIdTaken
from idp.store.connection import OUTAGES, DatabaseUnavailable
from idp.store.schema import SchemaMismatch
from idp.store.trusted_issuers import RuleExists
from idp.store.users import NameTaken
from keys.jwk import NotAPublicKeyError
from keys.planning import NoSuchKeyError
from keys.sealing import UnsealError

Failure = tuple[str, str]
"""What is so, as a clause without a full stop, and in whole sentences what to do."""

_SAY_WHAT_TO_DO = (
    EmbeddedPostgresError, SchemaMismatch, InvalidIdentity, WeakPassword, NameTaken, NoSuchUser, InvalidRole,
    InvalidClientMetadata, ClientIdTaken, NoSuchClient, NoSuchKeyError, NotAPublicKeyError,
    InvalidRule, NoSuchRule, RuleExists,
)  # fmt: skip
"""The errors whose own text is meant for whoever reads it."""

_SEE_THAT_IT_RUNS = "Check that PostgreSQL runs and that IDP_DATABASE_URL is right."
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def sentence(error: Exception) -> str | None:
    """What to print of an error; None for one that nobody expected."""
    if isinstance(error, SettingsError):
        return "\n     ".join(["settings are missing or wrong:", *error.problems])
    if isinstance(error, UnsealError):
        return (
            f"{error} Set IDP_KEY_ENCRYPTION_KEY to the keys that were used before. If they are lost, `idp recover` "
            "with a new one revokes every signing key and makes others."
        )
    if isinstance(error, _SAY_WHAT_TO_DO):
        return str(error)
    failure = of_disk(error) or of_database(error)
    return ". ".join(failure) if failure else None


def of_disk(error: Exception) -> Failure | None:
    """A file or folder that cannot be used; a connection that fails names no file."""
    if not isinstance(error, OSError) or (error.filename is None and error.errno not in _OF_THE_DISK):
        return None
    what = f"{error.filename} cannot be used" if error.filename else "the disk cannot be used"
    return f"{what}: {error.strerror}", "See to its place, its owner and its permissions."


def of_database(error: Exception) -> Failure | None:
    """A database that cannot be reached, or refuses. It is told by the first cause that says something of it."""
    for cause in _causes(error):
        if isinstance(cause, asyncpg.exceptions.ClientConfigurationError):
            found = f"IDP_DATABASE_URL cannot be used: {_clause(cause)}"
            return found, "With sslmode=verify-full, name the CA with sslrootcert=FILE."
        if isinstance(cause, asyncpg.InsufficientPrivilegeError):
            return f"the database refuses: {cause}", (
                "Migrate with the role that owns the tables, and give the one that serves its rights "
                "(docs/operations.md, First start in production)."
            )
        if isinstance(cause, asyncpg.ReadOnlySQLTransactionError):
            found = "the database takes no changes"
            return found, "Let IDP_DATABASE_URL name the primary, with target_session_attrs=read-write."
        if isinstance(cause, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
            return f"the database refuses: {_clause(cause)}", "Check IDP_DATABASE_URL."
        if isinstance(cause, OUTAGES):
            return f"the database cannot be reached: {_reason(cause)}", _SEE_THAT_IT_RUNS
    return (_clause(error), _SEE_THAT_IT_RUNS) if isinstance(error, DatabaseUnavailable) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came of: libraries wrap the server's own."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _clause(error: BaseException) -> str:
    return str(error).rstrip(".")


def _reason(error: BaseException) -> str:
    """In words; a timeout has none."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return words.rstrip(".") or "it did not answer in time"
