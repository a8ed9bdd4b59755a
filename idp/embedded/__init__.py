"""A real PostgreSQL without an administrator: for `idp dev` and the tests, never for production.

One folder holds a database, any number of the user's processes share its server, and nothing is left running
when the last of them is gone. Only that user gets in, over a Unix socket. Nothing acknowledged is lost,
whoever is killed.

    with attach(Path(".idp/postgres")) as dsn:
        ...
"""

from idp.embedded.client import attach
from idp.embedded.errors import EmbeddedPostgresError

__all__ = ["EmbeddedPostgresError", "attach"]
