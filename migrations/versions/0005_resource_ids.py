"""The APIs that a client is, so that it can exchange tokens which were sent to it.

Code of revision 0004 runs against this schema: it leaves the new column as it is.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table clients add column resource_ids text[] not null default '{}'")
