"""Stored messages as an operator sees them: their facts, their bytes, and what is hidden in both.

*Strategy.* A letter is named by its number (``12``), a request by ``r`` and its number (``r3``). What a table calls
secret is masked byte for byte, so that offsets stay right; where a message is so broken that its secrets cannot be
found, everything that could be one is masked. Seeing the bytes unmasked is a line in the audit trail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from sekisho.codecs.header import BODY_START, fields
from sekisho.codecs.message import Catalogue, Message, as_json, read_message
from sekisho.codecs.mime import is_interchange
from sekisho.gateway.cli_codec import decoded_lines
from sekisho.gateway.cli_interchange import interchange_form, interchange_lines, masked_interchange
from sekisho.gateway.cli_store import OPERATOR, Opened, japan
from sekisho.gateway.cli_text import SetupFailed, Unacceptable
from sekisho.mailboxes.letters import Event, Letter, Request
from sekisho.mailboxes.store import View

__all__ = [
    "Piece",
    "letter_form",
    "letter_row",
    "masked",
    "parse_reference",
    "piece",
    "request_form",
    "seen_unmasked",
    "shown_bytes",
]

_REFERENCE: Final = re.compile(r"(r?)([1-9][0-9]{0,17})")
_SECRET_START: Final = 37
"""The password of a request is at byte 38; nothing before it is secret."""
_HIDDEN: Final = re.compile(rb"[^ \r\n]")

LETTER_HEADS: Final = (
    "number", "created", "box", "uid", "user", "business", "output", "kind", "subject", "bytes", "state", "tries",
    "last error",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """A stored message: a letter, or a request with the mail around it.

    ``raw`` are the bytes as they came or will leave (a letter has no mail around it); ``message`` is what is in them,
    ``safe`` the same without its secrets, with the findings and errors of the one that came.
    """

    reference: str
    letter: Letter | None
    request: Request | None
    raw: bytes
    message: Message
    safe: Message

    def shown(self, *, unmask: bool) -> Message:
        """The message to show."""
        return self.message if unmask else self.safe

    def form(self, *, unmask: bool) -> dict[str, Any]:
        """The message in its documented JSON form, NACCS EDI or EDIFACT."""
        message = self.shown(unmask=unmask)
        return interchange_form(message.content) if is_interchange(message.content) else as_json(message)

    def lines(self, *, unmask: bool, whole: bool = False) -> list[str]:
        """The message for a person."""
        message = self.shown(unmask=unmask)
        if is_interchange(message.content):
            return interchange_lines(message.content)
        return decoded_lines(message, whole=whole)


def piece(view: View, reference: str, tables: Catalogue) -> Piece:
    """The letter (``12``) or request (``r3``). Raises Unacceptable if it is not there or its bytes were pruned."""
    is_request, number = parse_reference(reference)
    if not is_request:
        letter = view.letter(number)
        if letter is None:
            raise Unacceptable(f"letter {number}: not there; `sekisho mailbox list` shows letters")
        content = view.content(number)
        message = read_message(content, tables, direction="out")
        return Piece(reference, letter, None, content, message, _safe(message, tables))
    request = view.request(number)
    if request is None:
        raise Unacceptable(f"request r{number}: not there; `sekisho mailbox list --requests` shows requests")
    raw = view.raw(number)
    message = read_message(_content(request, raw), tables, direction="in")
    return Piece(reference, None, request, raw, message, _safe(message, tables))


def _safe(message: Message, tables: Catalogue) -> Message:
    if is_interchange(message.content):
        return message._replace(content=masked_interchange(message.content))
    direction = message.header.direction
    shown = read_message(masked(message), tables, direction=direction)
    return shown._replace(findings=message.findings, errors=message.errors)


def parse_reference(reference: str) -> tuple[bool, int]:
    """Whether ``r3`` or ``12`` names a request, and its number. Raises SetupFailed for anything else."""
    found = _REFERENCE.fullmatch(reference.strip().lower())
    if found is None:
        raise SetupFailed(f'"{reference}"; the number of a letter (12) or of a request (r3) is expected')
    return bool(found[1]), int(found[2])


def _content(request: Request, raw: bytes) -> bytes:
    if request.wrapping != "mail":
        return raw
    from sekisho.codecs.mime import MimeError, unwrap  # noqa: PLC0415 - only for requests that came as mail

    try:
        return unwrap(raw).content
    except MimeError:
        return b""


def _secret_spans(message: Message) -> list[tuple[int, int]]:
    """Where secrets stand in a message: pairs of first byte and the one after the last."""
    content = message.content
    broken = len(content) < BODY_START or content[BODY_START - 2 : BODY_START] != b"\r\n"
    if message.header.direction == "in" and broken:
        return [(_SECRET_START, len(content))]
    spans = [(f.start - 1, f.start - 1 + f.size) for f in fields(message.header.direction) if f.secret]
    if message.layout is None or message.record is None:
        # Nobody can say what stands where: a new password of an unknown business is as secret as one of URY.
        return [*spans, (BODY_START, len(content))]
    if not any(item.secret for item in message.layout.items):
        return spans
    if message.errors:
        return [*spans, (BODY_START, len(content))]
    at = BODY_START
    parts = content[BODY_START:].split(b"\r\n")
    for part, (item, _, _) in zip(parts, message.record.items(), strict=False):
        if item.secret:
            spans.append((at, at + len(part)))
        at += len(part) + 2
    return spans


def masked(message: Message) -> bytes:
    """The bytes of a message with ``*`` where something secret stands; blanks, line ends and the length stay."""
    content = bytearray(message.content)
    for start, end in _secret_spans(message):
        content[start:end] = _HIDDEN.sub(b"*", bytes(content[start:end]))
    return bytes(content)


def shown_bytes(found: Piece, *, unmask: bool) -> bytes:
    """The bytes to show: all of them unmasked, or with secrets masked.

    A request's mail whose body is encoded cannot be masked in place: then its message is shown alone.
    """
    if unmask:
        return found.raw
    safe = found.safe.content
    content = found.message.content
    at = found.raw.find(content) if content else -1
    return found.raw[:at] + safe + found.raw[at + len(content) :] if at >= 0 else safe


def seen_unmasked(there: Opened, found: Piece) -> None:
    """Note in the audit trail that somebody saw a message unmasked."""
    with there.store.transaction() as unit:
        if found.letter is not None:
            number = found.letter.number
            unit.add_event(Event(there.now(), OPERATOR, "letter.unmasked", found.letter.request, number))
        elif found.request is not None:
            unit.add_event(Event(there.now(), OPERATOR, "request.unmasked", found.request.number))


def letter_form(letter: Letter) -> dict[str, Any]:
    """A letter's facts for a program."""
    return {
        "letter": letter.number,
        "request": letter.request,
        "part": letter.part,
        "box": letter.box,
        "uid": letter.uid,
        "user": letter.user_id,
        "business_code": letter.business_code,
        "output_code": letter.output_code,
        "kind": letter.kind,
        "form": letter.form,
        "subject": letter.subject,
        "size": letter.size,
        "state": letter.state,
        "created_at": japan(letter.created_at),
        "delivered_at": japan(letter.delivered_at) or None,
        "door": letter.door,
        "due_at": japan(letter.due_at) or None,
        "attempts": letter.attempts,
        "last_outcome": letter.last_outcome,
        "last_error": letter.last_error,
    }


def letter_row(letter: Letter) -> tuple[object, ...]:
    """A letter's line in a list, by :data:`LETTER_HEADS`."""
    return (
        letter.number, japan(letter.created_at), letter.box, letter.uid, letter.user_id, letter.business_code,
        letter.output_code, letter.kind, letter.subject, letter.size, letter.state, letter.attempts, letter.last_error,
    )  # fmt: skip


def request_form(request: Request) -> dict[str, Any]:
    """A request's facts for a program."""
    return {
        "request": request.number,
        "received_at": japan(request.received_at),
        "transport": request.transport,
        "conversation": request.conversation,
        "peer": request.peer,
        "sender": request.sender,
        "recipient": request.recipient,
        "message_id": request.transport_id,
        "user": request.user_id,
        "business_code": request.business_code,
        "carry": request.carry.rstrip(),
        "input_id": request.input_id.rstrip(),
        "parent": request.parent,
        "state": request.state.name.lower(),
        "result": request.result,
        "key": request.key,
        "done_at": japan(request.done_at) or None,
    }
