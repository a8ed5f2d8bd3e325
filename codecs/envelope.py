"""The envelope: bytes as they came, from whom, how and when.

*Strategy.* A transport fills one :class:`Envelope` for everything it receives and changes nothing in it. ``raw`` is the
truth and is what the journal keeps; ``content`` is the part of it that holds the message, and can always be found again
from ``raw`` and ``wrapping`` (:mod:`sekisho.codecs.mime`), so a restart reads exactly what the first run read.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sekisho.codecs.results import ResultCode

__all__ = ["Attachment", "Envelope", "Wrapping"]


class Wrapping(enum.StrEnum):
    """How the message lies inside the raw bytes."""

    MAIL = "mail"
    """``raw`` is a mail: header block, blank line, body (RFC 5322, dot-stuffing already undone)."""
    BARE = "bare"
    """``raw`` is the message and nothing else."""
    EBMS = "ebms"
    """``raw`` is the Content-Type field of an HTTP request, an empty line, and its body (ebMS 2.0)."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One further part of a mail: its file name, its media type and its decoded bytes.

    ``name`` is the last part of the path that was sent, as text without control characters; empty if none was sent.
    """

    name: str
    content_type: str
    content: bytes


class Envelope(NamedTuple):
    """One transmission as it came in; a named tuple, because one is built for every message.

    ``transport`` is the listener's name (``two-way``); ``received_at`` an aware time in UTC; ``peer`` the other side's
    ``host:port``; ``sender`` and ``recipient`` the addresses of the transport (SMTP: MAIL FROM and RCPT TO without
    brackets; empty where the transport has none); ``transport_id`` the id the transport gives the transmission (SMTP:
    Message-ID with its brackets), empty if it gives none; ``principal`` the identity the transport itself has checked
    (a box's id: AUTH name, SFTP user, box of an ebMS partner), empty if it checks none; ``parent`` the journal number
    of the request that this one re-runs. ``conversation`` is the transport's name of an exchange of several messages
    (ebMS). ``identity`` is the whole identity of the request where the transport knows it better than by sender and
    ``transport_id``; ``answer`` what the transport will tell its peer, kept with the request in its commit, so that a
    repeat is told the same bytes.
    """

    transport: str
    received_at: datetime
    peer: str
    sender: str
    recipient: str
    raw: bytes
    content: bytes
    wrapping: Wrapping = Wrapping.BARE
    content_type: str = ""
    attachments: tuple[Attachment, ...] = ()
    transport_id: str = ""
    principal: str = ""
    conversation: str = ""
    parent: int | None = None
    faults: tuple[ResultCode, ...] = ()
    identity: str = ""
    answer: bytes = b""
