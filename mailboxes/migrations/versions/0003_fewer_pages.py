"""Fewer pages in a commit.

``message`` loses the index that makes (lane, seq) unique, which the one writer sees to, and has an entry for equal
bytes only where somebody may ask for them. An entry at a random place costs a commit a page of its own.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INDEXES = ("message_blob_id", "message_content_tag", "message_live", "message_received_at")
_COLUMNS = (
    "id, lane, seq, idem, transport, principal, received_at, peer, sender, recipient, wrapping, content_type,"
    " transport_id, user_id, business_code, carry, input_id, parent, state, attempts, content_digest, content_tag,"
    ' result, "key", done_at, conversation, answer, blob_id'
)


def upgrade() -> None:
    """Write the table anew: SQLite cannot take a UNIQUE away."""
    run = op.get_bind().exec_driver_sql
    last = run("SELECT seq FROM sqlite_sequence WHERE name = 'message'").scalar()
    for name in _INDEXES:
        op.drop_index(name, table_name="message")
    run("PRAGMA legacy_alter_table=ON")  # else the references of other tables would follow the old one
    run("ALTER TABLE message RENAME TO message_before")
    run("PRAGMA legacy_alter_table=OFF")
    op.create_table(
        "message",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("idem", sa.Text(), nullable=False),
        sa.Column("transport", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("wrapping", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("transport_id", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("user_id", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("business_code", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("carry", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("input_id", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("parent", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("content_digest", sa.LargeBinary(), nullable=False),
        sa.Column("content_tag", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("key", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("conversation", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("blob_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["blob_id"],
            ["blob.id"],
        ),
        sa.ForeignKeyConstraint(
            ["lane"],
            ["lane.lane"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("idem", name=op.f("message_idem_key")),
        sqlite_autoincrement=True,
    )
    run(f"INSERT INTO message ({_COLUMNS}) SELECT {_COLUMNS} FROM message_before")  # noqa: S608 - constants
    op.drop_table("message_before")
    # The highest number may be that of a row that is gone; it is not given again.
    run("DELETE FROM sqlite_sequence WHERE name = 'message'")
    if last is not None:
        run("INSERT INTO sqlite_sequence (name, seq) VALUES ('message', ?)", (last,))
    op.create_index(op.f("message_blob_id"), "message", ["blob_id"], unique=False)
    op.create_index(
        "message_content_tag",
        "message",
        ["content_tag"],
        unique=False,
        sqlite_where=sa.text("content_tag IS NOT NULL"),
        postgresql_where=sa.text("content_tag IS NOT NULL"),
    )
    op.create_index(
        "message_live",
        "message",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 0"),
        postgresql_where=sa.text("state = 0"),
    )
    op.create_index(op.f("message_received_at"), "message", ["received_at"], unique=False)
