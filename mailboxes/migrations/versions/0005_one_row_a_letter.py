"""One row a letter.

What the push door makes of a letter stands in its own row: nearly every letter is sent at once and needs no other, and
a delivery is one row changed instead of two written.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_DUE = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    """Move the columns over; a letter that was never due or tried had no row in outbox."""
    op.add_column("reply", sa.Column("due_at", sa.BigInteger(), nullable=True))
    op.add_column("reply", sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("reply", sa.Column("last_outcome", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("reply", sa.Column("last_error", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.execute(
        "UPDATE reply SET (due_at, attempts, last_outcome, last_error) ="
        " (SELECT next_at, attempts, last_outcome, last_error FROM outbox WHERE reply_id = reply.id)"
        " WHERE id IN (SELECT reply_id FROM outbox)"
    )
    op.drop_index("outbox_due", table_name="outbox")
    op.drop_table("outbox")
    op.create_index(
        "reply_due", "reply", ["due_at", "id"], unique=False, sqlite_where=_DUE, postgresql_where=_DUE
    )
