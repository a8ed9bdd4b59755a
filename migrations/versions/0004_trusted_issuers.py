"""Outside issuers whose tokens stand for the credentials of our clients.

Code of revision 0003 runs against this schema: it does not know the grant.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in filter(str.strip, SCHEMA.split(";")):
        op.execute(statement)


SCHEMA = """
create table trusted_issuers (
    issuer text not null,
    client_id text not null references clients on delete cascade,
    subject text not null,
    claims jsonb not null,
    audience text,
    single_use boolean not null,
    jwks jsonb,
    jwks_uri text,
    created_at timestamptz not null default now(),
    primary key (issuer, client_id, subject, claims),
    constraint one_source_of_keys check ((jwks is null) <> (jwks_uri is null))
);
create index trusted_issuers_client on trusted_issuers (client_id)
"""
