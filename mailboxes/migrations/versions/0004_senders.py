"""What a box has sent is listed at its sftp door: found by who sent it, where the transport knew.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the index; two-way SMTP checks nobody, so its rows are not in it."""
    op.create_index(
        "message_principal",
        "message",
        ["principal", "id"],
        unique=False,
        sqlite_where=sa.text("principal <> ''"),
        postgresql_where=sa.text("principal <> ''"),
    )
