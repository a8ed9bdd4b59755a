"""Clients with keys instead of secrets, keys that tokens are bound to, ids that are good for one use.

Code of revision 0002 runs against this schema: it leaves the new columns at their defaults, and a client that depends
on one of them cannot authenticate there.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in filter(str.strip, SCHEMA.split(";")):
        op.execute(statement)


SCHEMA = """
alter table clients add column jwks jsonb;
alter table clients add column jwks_uri text;
alter table clients add column dpop_bound_access_tokens boolean not null default false;
alter table clients add column may_impersonate boolean not null default false;
alter table clients add constraint one_source_of_keys check (jwks is null or jwks_uri is null);

alter table refresh_families add column dpop_jkt text;

create table used_ids (
    digest bytea primary key,
    expires_at timestamptz not null
);
create index used_ids_expiry on used_ids (expires_at)
"""
