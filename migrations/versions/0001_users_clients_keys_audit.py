"""The first schema: users, clients, signing keys, tries at passwords, audit log.

Forward only. `schema_info.minimum_revision` is the oldest revision whose code still runs against the schema as it
now is: a migration that older code cannot live with raises it, all others leave it, and so old and new instances
serve together during a rolling upgrade.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in filter(str.strip, SCHEMA.split(";")):
        op.execute(statement)


SCHEMA = """
create table schema_info (
    only_row boolean primary key default true check (only_row),
    minimum_revision text not null
);
insert into schema_info (minimum_revision) values ('0001');

create table users (
    id uuid primary key,
    email text not null,
    email_key text not null constraint users_email_key_key unique,
    username text,
    username_key text constraint users_username_key_key unique,
    password_hash text,
    foreign_cost smallint,
    roles text[] not null default '{}',
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index users_foreign_cost on users (foreign_cost) where foreign_cost is not null;

create table clients (
    client_id text primary key,
    name text not null,
    token_endpoint_auth_method text not null,
    grant_types text[] not null,
    scopes text[] not null default '{}',
    audiences text[] not null default '{}',
    redirect_uris text[] not null default '{}',
    post_logout_redirect_uris text[] not null default '{}',
    origins text[] not null default '{}',
    may_introspect boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table client_secrets (
    client_id text not null references clients on delete cascade,
    digest bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    primary key (client_id, digest)
);

create table signing_keys (
    kid text primary key,
    alg text not null,
    public_jwk jsonb not null,
    sealed_by text,
    sealed bytea,
    publish_at timestamptz not null,
    sign_from timestamptz not null,
    sign_until timestamptz not null,
    verify_until timestamptz not null,
    revoked_at timestamptz,
    asked_at timestamptz,
    created_at timestamptz not null default now(),
    check (publish_at <= sign_from and sign_from <= sign_until and sign_until <= verify_until),
    check ((sealed is null) = (sealed_by is null)),
    constraint one_key_signs_at_a_time exclude using gist (tstzrange(sign_from, sign_until) with &&)
        where (revoked_at is null) deferrable initially deferred
);

create table jwks_readers (
    name text primary key,
    newest_kid text not null,
    confirmed boolean not null,
    seen_at timestamptz not null
) with (fillfactor = 80);

create table login_tries (
    subject text primary key,
    tries integer not null,
    next_at timestamptz not null,
    last_at timestamptz not null
) with (fillfactor = 80);

create table known_sources (
    user_id uuid not null references users on delete cascade,
    source text not null,
    seen_at timestamptz not null default now(),
    primary key (user_id, source)
) with (fillfactor = 80);

create table audit_log (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    event text not null,
    outcome text not null,
    actor text,
    subject text,
    client_id text,
    source text not null,
    request_id text not null,
    detail jsonb not null default '{}'
);
create index audit_log_subject on audit_log (subject, id) where subject is not null;
create index audit_log_actor on audit_log (actor, id) where actor is not null;
create index audit_log_at on audit_log using brin (at)
"""
