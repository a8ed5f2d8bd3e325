"""Doors that letters are fetched by, and ebMS.

Which door delivered a letter; public keys and the readable secret of a box; the conversation and the kept answer of a
request; the ebMS messages that carry letters out.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns with defaults, which rewrites no row, and one table."""
    op.add_column("message", sa.Column("conversation", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("message", sa.Column("answer", sa.LargeBinary(), nullable=True))
    op.add_column("mailbox", sa.Column("keys", sa.Text(), server_default=sa.text("'[]'"), nullable=False))
    op.add_column("mailbox", sa.Column("secret", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("reply", sa.Column("door", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.execute("UPDATE reply SET door = 'smtp-push' WHERE delivered_at IS NOT NULL")
    op.create_table(
        "ebms_sent",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("reply_id", sa.BigInteger(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["reply_id"], ["reply.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index(op.f("ebms_sent_reply_id"), "ebms_sent", ["reply_id"], unique=False)
