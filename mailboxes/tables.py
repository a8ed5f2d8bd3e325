"""The schema, once, for SQLite and PostgreSQL.

*Strategy.* Declared with SQLAlchemy Core so that migrations can be checked against it; nothing on the way of a message
uses it. Times are whole microseconds since the epoch in UTC. Every index is either a rule (unique), the live part of a
queue (partial) or what a removal needs to find its references; each one more costs every message.

An index over digests takes every new row at a random place, and each such place is one more page in the commit. So
``blob`` is referenced by its row number; only from :data:`SHARED_SIZE` bytes on is its digest unique and equal bytes
are kept once (smaller ones carry times and numbers, and hardly ever are equal). Equal messages are found by the first
64 bits of their digest, and only those have an entry that the tag rule may ask for. ``seq`` is counted by the one
writer and needs no index to be unique.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from sekisho.mailboxes.migrations import SCHEMA_VERSION, SHARED_SIZE

__all__ = ["SCHEMA_VERSION", "SHARED_SIZE", "metadata"]

metadata: Final = MetaData(
    naming_convention={"ix": "%(column_0_N_label)s", "uq": "%(table_name)s_%(column_0_N_name)s_key"}
)
"""All tables of a store at :data:`SCHEMA_VERSION`."""

# SQLite makes a row number of INTEGER PRIMARY KEY only; 64 bits there, BIGINT elsewhere.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")
# Numbers that people and other tables have seen are never given again, not even the highest after its removal.
_NEVER_AGAIN: Final[dict[str, Any]] = {"sqlite_autoincrement": True}


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=text("''"))


def _int(name: str, default: int = 0) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text(str(default)))


_SHARED: Final = text(f"size >= {SHARED_SIZE}")
Table(
    "blob",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("codec", Text, nullable=False, server_default=text("'raw'")),
    Column("bytes", LargeBinary, nullable=False),
    Index("blob_shared", "digest", unique=True, sqlite_where=_SHARED, postgresql_where=_SHARED),
)
Table(
    "lane",
    metadata,
    Column("lane", Text, primary_key=True),
    _int("next_seq", 1),
    _int("pending"),
    Column("head_at", BigInteger, nullable=False),
    _int("not_before"),
    Column("paused_reason", Text),
    Column("owner", Text),
    Column("lease_until", BigInteger),
    _int("fence"),
    Index("lane_ready", "head_at", sqlite_where=text("pending > 0"), postgresql_where=text("pending > 0")),
)
_COMPARABLE: Final = text("content_tag IS NOT NULL")
Table(
    "message",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("lane", Text, ForeignKey("lane.lane"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("idem", Text, nullable=False, unique=True),
    Column("transport", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False, index=True),
    Column("peer", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("wrapping", Text, nullable=False),
    _text("content_type"),
    _text("transport_id"),
    _text("user_id"),
    _text("business_code"),
    _text("carry"),
    _text("input_id"),
    # No reference: the number of an original may outlive its row.
    Column("parent", BigInteger),
    Column("state", SmallInteger, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("content_digest", LargeBinary, nullable=False),
    Column("content_tag", BigInteger),  # its first 8 bytes, as a signed number; null: nobody will compare it
    _text("result"),
    _text("key"),
    Column("done_at", BigInteger),
    _text("conversation"),
    Column("answer", LargeBinary),  # what a repeated request is answered; null: nothing was kept
    Column("blob_id", BigInteger, ForeignKey("blob.id"), nullable=False, index=True),
    Index("message_content_tag", "content_tag", sqlite_where=_COMPARABLE, postgresql_where=_COMPARABLE),
    Index(
        "message_principal",
        "principal",
        "id",
        sqlite_where=text("principal <> ''"),
        postgresql_where=text("principal <> ''"),
    ),
    Index("message_live", "id", sqlite_where=text("state = 0"), postgresql_where=text("state = 0")),
    **_NEVER_AGAIN,
)
Table(
    "mailbox",
    metadata,
    Column("box", Text, primary_key=True),
    _text("address"),
    Column("address_key", Text, nullable=False, index=True),  # the address in lower case
    Column("doors", Text, nullable=False),
    Column("pushes", SmallInteger, nullable=False),  # 1: letters become due here by themselves
    _text("push"),
    _text("password_hash"),
    _int("uid_next", 1),
    Column("uid_validity", BigInteger, nullable=False),
    Column("keys", Text, nullable=False, server_default=text("'[]'")),  # JSON list of public keys
    _text("secret"),
)
_DUE: Final = text("due_at IS NOT NULL")
_UNDELIVERED: Final = text("delivered_at IS NULL AND deleted_at IS NULL")
Table(
    "reply",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("message_id", BigInteger, ForeignKey("message.id"), nullable=False),
    Column("part", Integer, nullable=False),
    Column("box", Text, ForeignKey("mailbox.box"), nullable=False),
    Column("uid", BigInteger, nullable=False),
    _text("user_id"),
    _text("business_code"),
    _text("output_code"),
    _text("kind"),
    _text("form"),
    _text("subject"),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("delivered_at", BigInteger),
    Column("deleted_at", BigInteger),
    _text("door"),
    Column("blob_id", BigInteger, ForeignKey("blob.id"), nullable=False, index=True),
    # What the push door makes of it. In the row itself: what is sent at once needs no second one.
    Column("due_at", BigInteger),  # null: finished, or never due
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _text("last_outcome"),
    _text("last_error"),
    UniqueConstraint("message_id", "part"),
    UniqueConstraint("box", "uid"),
    Index("reply_undelivered", "box", "output_code", sqlite_where=_UNDELIVERED, postgresql_where=_UNDELIVERED),
    Index("reply_due", "due_at", "id", sqlite_where=_DUE, postgresql_where=_DUE),
    **_NEVER_AGAIN,
)
Table(
    # An ebMS message that carries a letter: every attempt sends these bytes, and its Acknowledgment names it.
    "ebms_sent",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("reply_id", BigInteger, ForeignKey("reply.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("partner", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("acknowledged_at", BigInteger),
)
Table(
    "event",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("message_id", BigInteger),
    Column("reply_id", BigInteger),
    _text("detail"),
    Index(
        "event_message",
        "message_id",
        sqlite_where=text("message_id IS NOT NULL"),
        postgresql_where=text("message_id IS NOT NULL"),
    ),
    Index(
        "event_reply",
        "reply_id",
        sqlite_where=text("reply_id IS NOT NULL"),
        postgresql_where=text("reply_id IS NOT NULL"),
    ),
    **_NEVER_AGAIN,
)
Table(
    "seal",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("upto", BigInteger, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    **_NEVER_AGAIN,
)
Table(
    "user_account",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_code", Text, nullable=False, index=True),
    Column("password_hash", Text, nullable=False),
    Column("password_state", Text, nullable=False),
    _text("former"),
    _text("former_state"),
    Column("history", Text, nullable=False),  # JSON list
    _text("trade"),
    Column("specialist", SmallInteger, nullable=False),
    Column("in_house", SmallInteger, nullable=False),
    Column("mail_from", Text, nullable=False),  # JSON list, as registered
    _text("box"),
    Column("suspended", SmallInteger, nullable=False),
    Column("strict", SmallInteger, nullable=False),
    Column("tolerate_length", SmallInteger, nullable=False),
)
Table(
    # user_account.mail_from once more, in lower case, for the question whose address this is.
    "user_address",
    metadata,
    Column("address_key", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)
Table(
    "route",
    metadata,
    Column("user", Text, primary_key=True),
    Column("output", Text, primary_key=True),
    Column("box", Text, nullable=False),
    sqlite_with_rowid=False,
)
Table(
    "place",
    metadata,
    Column("code", Text, primary_key=True),
    Column("user", Text, nullable=False),
    _text("name"),
)
Table(
    "office",
    metadata,
    Column("code", Text, primary_key=True),
    _text("name"),
    Column("hours", Text, nullable=False),  # JSON
    Column("holidays", Text, nullable=False),  # JSON
)
Table(
    "window",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    _text("business"),
    Column("code", Text, nullable=False),
    Column("starts", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    _text("text"),
    **_NEVER_AGAIN,
)
Table(
    "record",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("data", Text, nullable=False),  # JSON
)
Table(
    "number_series",
    metadata,
    Column("series", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
Table(
    "quarantine",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("message_id", BigInteger, ForeignKey("message.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("released_at", BigInteger),
    **_NEVER_AGAIN,
)
Table(
    "schedule",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("due_at", BigInteger, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("data", Text, nullable=False),  # JSON
    Index("schedule_subject", "kind", "key"),
    **_NEVER_AGAIN,
)
