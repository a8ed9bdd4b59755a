"""Alembic's environment. The connection comes from `idp.store.migrations`, which also holds the lock."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"], target_metadata=None, transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
