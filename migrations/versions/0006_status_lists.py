"""Token Status Lists: which indices were given out, those that a family's tokens have, and those that were revoked.

Code of revision 0005 runs against this schema: its tokens have no status, and when it ends a family, whose tokens may
have one, the triggers see to the lists.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in filter(str.strip, SCHEMA.split(";\n\n")):
        op.execute(statement)


# Whatever ends a family, be it a replay, a new password or the removal of its client, whose families go by cascade:
# in the same transaction its tokens are in the lists. No statement can forget it, not even one of an older version.
SCHEMA = """
create table status_lists (
    id bigint primary key,
    taken integer not null,
    expires_at timestamptz not null
) with (fillfactor = 80);

create table revoked_statuses (
    list_id bigint not null,
    idx integer not null,
    expires_at timestamptz not null,
    primary key (list_id, idx)
);

create index revoked_statuses_expiry on revoked_statuses (expires_at);

create type issued_status as (list_id bigint, idx integer, expires_at timestamptz);

alter table refresh_families add column statuses issued_status[] not null default '{}';

create function revoke_statuses() returns trigger language plpgsql as $$
begin
    insert into revoked_statuses (list_id, idx, expires_at)
        select list_id, idx, expires_at from unnest(old.statuses)
        where expires_at > clock_timestamp() - interval '300 seconds'
        on conflict do nothing;
    return null;
end
$$;

create trigger revoke_statuses_of_ended after update of revoked_at on refresh_families
    for each row when (old.revoked_at is null and new.revoked_at is not null and cardinality(old.statuses) > 0)
    execute function revoke_statuses();

create trigger revoke_statuses_of_removed after delete on refresh_families
    for each row when (old.revoked_at is null and cardinality(old.statuses) > 0)
    execute function revoke_statuses();

"""
