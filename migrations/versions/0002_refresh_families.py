"""Refresh tokens, one row for each family, updated in place; revoked access tokens; the server's own secrets.

Code of revision 0001 runs against this schema: it knows nothing of families, and issues none.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in filter(str.strip, SCHEMA.split(";")):
        op.execute(statement)


# No index on what a refresh changes, and room on each page: every update stays on its page (HOT), and no index grows.
SCHEMA = """
create table server_secrets (
    name text primary key,
    sealed_by text not null,
    sealed bytea not null,
    created_at timestamptz not null default now()
);

create table revoked_tokens (
    jti text primary key,
    expires_at timestamptz not null
);
create index revoked_tokens_expiry on revoked_tokens (expires_at);

alter table users add column credentials_epoch integer not null default 0;

create table refresh_families (
    id uuid primary key,
    client_id text not null references clients on delete cascade,
    user_id uuid not null references users on delete cascade,
    scopes text[] not null,
    audiences text[] not null,
    auth_time timestamptz not null,
    amr text[] not null,
    current_digest bytea not null,
    previous_digest bytea,
    rotated_at timestamptz,
    sealed_successor bytea,
    idle_until timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    created_at timestamptz not null default now()
) with (fillfactor = 70);
create index refresh_families_user on refresh_families (user_id);
create index refresh_families_client on refresh_families (client_id);
create index refresh_families_expiry on refresh_families (expires_at)
"""
