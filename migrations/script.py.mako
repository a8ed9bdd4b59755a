"""${message}.

If code of the previous revision cannot run against this schema, raise `minimum_revision` in `schema_info`.
"""

from alembic import op

revision = "${up_revision}"
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "op.execute(...)"}
