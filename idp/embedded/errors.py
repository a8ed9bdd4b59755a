"""The one exception of this package."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot serve. The message is one sentence that says what to do next."""
