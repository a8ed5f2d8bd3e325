"""Settings of the limits: what is refused early, before it hurts anybody, each with its reason.

*Strategy.* As in :mod:`sekisho.gateway.settings`, which reads them. Transports get these values as arguments
(:mod:`sekisho.gateway.listeners`) and have the same defaults.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["Limits"]

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Filled = Annotated[str, Meta(min_length=1)]


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[limits]``: what is refused early, before it hurts anybody. Sizes in bytes, times in seconds."""

    message_bytes: Annotated[int, Meta(ge=400, le=999_999)] = 700_000
    """One NACCS EDI message: the official bound; 電文長 has six digits."""
    max_object: Annotated[int, Meta(ge=1_000)] = 12 * 1024 * 1024
    """One mail with its attachments; above it 552. Common mail servers take 10 MB."""
    smtp_idle_two_way: Seconds = 180
    """Silence on a two-way connection: users wait 3 minutes for a reply there."""
    smtp_idle_mail: Seconds = 120
    """Silence on a mail-style connection: the centre's own timer since April 2023."""
    smtp_transaction: Seconds = 600
    """One mail from MAIL to its final dot: ends senders that drip a byte now and then."""
    smtp_session: Seconds = 3600
    """One connection in all: ends those that only say NOOP."""
    connections_partner: Count = 10
    """Connections of one sender at once."""
    connections_address: Count = 50
    """Connections from one network address at once, as common mail servers do."""
    connections_total: Count = 2000
    """All connections; above it 421."""
    bad_commands: Count = 20
    """Wrong commands in a session before it is closed, as common mail servers do."""
    login_tries: Count = 3
    """Failed logins in a row, of one box or one address, before each further answer is delayed."""
    login_delay: Annotated[float, Meta(ge=0)] = 5
    """That delay: guessing becomes slow, and nobody is locked out."""
    logins_session: Count = 6
    """Failed logins of one SMTP session before it is closed: clients try two ways each time."""
    tls_handshake: Seconds = 30
    """Time for the TLS handshake: ends connections that begin one and stop."""
    login_seconds: Seconds = 60
    """Time from connecting to being logged in: ends connections that only wait."""
    pop3_idle: Seconds = 600
    """Silence on a POP3 connection: the least that RFC 1939 allows; the centre's mail-style timer is 120."""
    pop3_keep_alive: Annotated[int, Meta(ge=1)] = 60
    """Silence after which the system asks whether a POP3 client still lives: a cut cable must free the box soon."""
    pop3_session: Seconds = 3600
    """One POP3 session in all: meanwhile nobody else can open the box."""
    http_head: Seconds = 10
    """Time for the head of an HTTP request from its first byte: it is one packet."""
    http_idle: Seconds = 75
    """Silence between HTTP requests, as most servers and proxies have it."""
    http_stall: Seconds = 30
    """How long a peer may leave an HTTP answer unread: what it asked for waits in memory."""
    http_body_idle: Seconds = 20
    """Silence inside the body of an HTTP request: ends senders that drip."""
    http_body: Seconds = 300
    """Time for the whole body: 12 MiB at 40 KB/s."""
    sftp_idle: Seconds = 600
    """Silence on an SFTP connection."""
    sftp_session: Seconds = 43_200
    """One SFTP connection in all: interactive clients stay open for a working day."""
    sftp_upload: Seconds = 600
    """From opening a file to closing it: the longest transaction of SMTP too."""
    sftp_keep_alive: Seconds = 60
    """Silence after which an SFTP client is asked whether it is there; three times without an answer ends it."""
    sftp_channels: Count = 8
    """SFTP and scp channels of one connection: clients that multiplex open a few."""
    sftp_keys: Count = 6
    """Public keys that do not open the box before the connection ends: agents offer all they have."""
    sftp_handles: Count = 64
    """Open files and folders of one SFTP session: each upload takes memory."""
    sftp_sessions_user: Count = 8
    """SFTP sessions of one user at once: common clients open four."""
    sftp_disk: Count = 1024 * 1024 * 1024
    """Bytes of all uploads that have spilled to disk: eighty of the largest at once."""
    sftp_temporary: tuple[Filled, ...] = (
        ".tmp", ".temp", ".part", ".partial", ".filepart", ".swp", ".upload", ".lock",
    )  # fmt: skip
    """Endings of names whose file is a message when it is renamed, not when it is closed."""
    sftp_memory: Count = 1024 * 1024
    """Bytes of an upload kept in memory; the rest spills to a file without a name."""
    lane_backlog_messages: Count = 10_000
    """Requests of one sender that wait to be processed; above it 452, not silence."""
    busy_backlog: Count = 20_000
    """Unprocessed requests of all senders; above it a new one is answered A0011: its real answer comes too late."""
    lane_backlog_bytes: Count = 1_000_000_000
    """The same in bytes."""
    free_disk_bytes: Annotated[int, Meta(ge=0)] = 2_000_000_000
    """Below this much free disk nothing new is taken (452), so that what is there can still be finished."""
    free_disk_percent: Annotated[float, Meta(ge=0, le=50)] = 5
    """On small disks the lower bound of the two counts: this share of the disk."""
    batch_messages: Annotated[int, Meta(ge=1, le=4096)] = 256
    """Messages in one commit: more make the first of them wait."""
    batch_bytes: Count = 8 * 1024 * 1024
    """Bytes in one commit, for the same reason."""
    batch_hold_ms: Seconds = 50
    """Milliseconds of processing in one commit; what follows is answered now and processed in a later one."""
    outbound_queue: Count = 10_000
    """Letters read ahead for delivery: bounds memory, the rest waits in the store."""
    mime_depth: Count = 20
    """Nesting of MIME parts: deeper is an attack, not a mail."""
    mime_parts: Count = 1000
    """MIME parts of one mail, for the same reason."""
    attachment_name: Annotated[int, Meta(ge=1, le=190)] = 190
    """Bytes of an attached file's name, in EUC-JP: the official bound, less where a business says so."""
    attachment_bytes: Count = 10 * 1024 * 1024
    """One attached file: base64 leaves 9 MiB of a mail of 12."""
    attachments_bytes: Count = 12 * 1024 * 1024
    """All files of a mail: as much as the mail itself may have."""
    attachments: Count = 100
    """Files of one mail: item tables have room for 10 or 20 names."""
