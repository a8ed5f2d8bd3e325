"""Intake: what a transmission is, and whether it has been here before.

*Strategy.* An envelope becomes a journal row; its identity (``idem``) is the sender and the transport's own id, so the
same mail sent again has one effect and gets the same replies (decisions, "Identity of a request"). Where the transport
gives no id, identical bytes with a filled tag are the same request if the first one succeeded and its business changes
something; that is judged when the request is processed, because only then the first one is known to have succeeded.

Of an EDIFACT transmission the sender is whom the first UNB names: the partner's user, or the id of a stranger. Its
duplicates are told by the interchange reference, when it is processed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

import structlog

from sekisho.codecs import mime
from sekisho.codecs.envelope import Envelope, Wrapping
from sekisho.codecs.header import CARRY, INPUT_ID
from sekisho.codecs.mime import is_interchange
from sekisho.gateway import msh_content
from sekisho.gateway.clock import from_us, to_us
from sekisho.gateway.partners import Partners, opening_of
from sekisho.mailboxes.letters import Event, NewRequest, RequestState
from sekisho.mailboxes.store import Unit
from sekisho.transports.base import Receipt, Verdict

__all__ = ["Intake", "Sender", "Taken", "reopened"]

log = structlog.get_logger("sekisho.intake")
CHANGING: Final = frozenset("ACSX")
"""Kinds of business that change something; T, B and Q are always processed anew."""

EDI: Final = "EDI"
"""The business code in the journal of a transmission whose first message asks for none."""
SLOW_BYTES: Final = 8_192
"""A transmission above this many bytes may take tens of milliseconds (a hundred small messages): answered first."""

_RECENT: Final = 10_000
"""Requests that later ones are compared with, for the log only."""


@dataclass(slots=True)
class Taken:
    """A request after the journal. ``number`` 0: nothing new was journalled; ``again``: letters to send once more.

    ``slow``: it would hold a batch up.
    """

    receipt: Receipt
    number: int = 0
    lane: str = ""
    user_id: str = ""
    business_code: str = ""
    again: tuple[int, ...] = ()
    slow: bool = False
    comparable: bool = False
    """The transport gave it no id, and its business changes something: the tag rule holds for it."""


class Sender(NamedTuple):
    """Who sent an envelope and what for, as its content says; ``lane`` is one sender over one transport."""

    lane: str
    user_id: str
    business_code: str
    carry: str
    input_id: str
    slow: bool = False


class Intake:
    """Journals and recognises.

    ``kind_of`` gives the kind of a business code (A B C Q S X T, empty if unknown); ``window_us`` how long identical
    bytes without a transport id count as the same request; ``partners`` whose interchanges are known; ``parts`` what
    mails may hold, as the listeners were told.
    """

    def __init__(
        self,
        kind_of: Callable[[str], str],
        window_us: int,
        partners: Partners | None = None,
        parts: mime.MimeLimits | None = None,
    ) -> None:
        self._parts = parts or mime.MimeLimits()
        self._partners = partners or Partners()
        self._kind_of = kind_of
        self._window_us = window_us
        self._recent: OrderedDict[tuple[str, int], tuple[int, int]] = OrderedDict()

    def taken(self, envelope: Envelope, number: int) -> Taken:
        """What :meth:`take` said of a request that is in the journal already."""
        sender = self.sender(envelope)
        receipt = Receipt(Verdict.ACCEPTED, number=number)
        comparable = not envelope.transport_id and self._kind_of(sender.business_code) in CHANGING
        return Taken(receipt, number, sender.lane, sender.user_id, sender.business_code, (), sender.slow, comparable)

    def reopened(self, unit: Unit, number: int) -> Envelope:
        """The envelope of a journalled request, as its first run saw it. Raises StoreError if the journal lacks it."""
        return reopened(unit, number, self._parts)

    def sender(self, envelope: Envelope) -> Sender:
        """Who sent it: the user ID of the header, or whom the first UNB names, and what the transport knows it by."""
        content = envelope.content
        if is_interchange(content):
            opening = opening_of(content)
            partner = self._partners.find(opening.sender, opening.qualifier)
            user_id = partner.user if partner is not None else ""
            code = partner.business_code(opening.type, opening.document_code) if partner is not None else ""
            return Sender(
                _lane(envelope, user_id or f"UNB {_ascii(opening.sender)}"),
                user_id,
                code or EDI,
                "",
                _ascii(opening.reference),
                len(content) > SLOW_BYTES,
            )
        text = content[:264].decode("ascii", "replace")
        user_id, code = text[29:37].rstrip(), text[3:8].rstrip(" ")
        carry, input_id = text[CARRY].rstrip(), text[INPUT_ID].rstrip()
        if not (text.isascii() and text.isprintable()):
            user_id, code, carry, input_id = _ascii(user_id), _ascii(code), _ascii(carry), _ascii(input_id)
        return Sender(_lane(envelope, user_id), user_id, code, carry, input_id)

    def take(self, envelope: Envelope, unit: Unit, now_us: int, sender: Sender) -> Taken:
        """Journal an envelope, or recognise it; ``sender`` is what :meth:`sender` said of it."""
        lane, user_id, business_code, carry, input_id, slow = sender
        if envelope.transport_id or envelope.identity:
            idem = envelope.identity or f"{lane}|{envelope.transport_id}"
            known = unit.find_request(idem)
            if known is not None:
                return self._known(known.number, known.content_digest, envelope, unit, now_us)
            comparable = False
        else:
            idem = ""
            comparable = self._kind_of(business_code) in CHANGING
        received_at = to_us(envelope.received_at)
        number = unit.journal(
            NewRequest(  # by position: two dozen names cost as much as the rest of it
                lane, idem, envelope.transport, envelope.principal, received_at, envelope.peer, envelope.sender,
                envelope.recipient, envelope.raw, envelope.content, envelope.wrapping.value, envelope.content_type,
                envelope.transport_id, user_id, business_code, carry, input_id, envelope.parent,
                envelope.conversation, envelope.answer, comparable,
            )
        )  # fmt: skip
        receipt = Receipt(Verdict.ACCEPTED, f"accepted as {number}", number)
        return Taken(receipt, number, lane, user_id, business_code, (), slow, comparable)

    def _known(self, number: int, digest: str, envelope: Envelope, unit: Unit, now_us: int) -> Taken:
        """The same transport id again: the same answer and the same replies, or a conflict."""
        if digest != content_digest(envelope.content) or not self._same_files(envelope, unit, number):
            unit.add_event(Event(now_us, "intake", "request.conflicted", number, None, envelope.transport_id))
            log.error("request.conflicted", request=number, transport_id=_ascii(envelope.transport_id))
            return Taken(Receipt(Verdict.REFUSED, "this Message-ID was used for another message", number, True))
        unit.add_event(Event(now_us, "intake", "request.repeated", number))
        log.info("request.repeated", request=number)
        # An ebMS letter is repeated by its own retries; sent anew it would have another MessageId: a second delivery.
        letters = () if envelope.wrapping is Wrapping.EBMS else unit.letters_of(number)
        again = tuple(letter.number for letter in letters if _delivered(letter.due_at))
        receipt = Receipt(Verdict.ACCEPTED, f"accepted as {number}", number, True, unit.answer(number))
        return Taken(receipt, again=again)

    def repeats(self, taken: Taken, envelope: Envelope, unit: Unit, now_us: int) -> tuple[int, ...] | None:
        """Whether a journalled request without a transport id is an earlier one again (the tag rule).

        Gives the letters of the first one, to be sent again, after closing this one without any effect; None if it is
        a request of its own.
        """
        content = envelope.content
        if self._window_us <= 0 or envelope.parent is not None or is_interchange(content):
            return None
        first = None
        if (
            taken.comparable
            and (content[CARRY].strip() or content[INPUT_ID].strip())
        ):
            since = to_us(envelope.received_at) - self._window_us
            same = unit.find_same(taken.lane, content_digest(content), since)
            first = next(
                (
                    r
                    for r in reversed(same)
                    if r.number < taken.number
                    and r.result.startswith(("00000", "W"))
                    and self._same_files(envelope, unit, r.number)
                ),
                None,
            )
        if first is None:
            self._compare(taken, envelope, unit, now_us)
            return None
        unit.finish(taken.number, state=RequestState.DONE, result="", key=first.key, at=now_us)
        unit.add_event(Event(now_us, "intake", "request.repeated", taken.number, None, str(first.number)))
        log.info("request.repeated", request=taken.number, earlier=first.number)
        return tuple(letter.number for letter in unit.letters_of(first.number) if _delivered(letter.due_at))

    def _same_files(self, envelope: Envelope, unit: Unit, number: int) -> bool:
        """Whether a mail brings the files of an earlier one: a message is the same only with the same files."""
        if envelope.wrapping != Wrapping.MAIL:
            return True
        return unwrapped(unit.raw(number), self._parts).attachments == envelope.attachments

    def _compare(self, taken: Taken, envelope: Envelope, unit: Unit, now_us: int) -> None:
        """Say in the log that a request looks like an earlier one; it is processed all the same.

        Memory is enough for a hint: a restart forgets what came before it, and a request that is tried again after its
        password was verified is not compared with itself.
        """
        key, at = (taken.lane, hash(envelope.content)), to_us(envelope.received_at)
        before = self._recent.pop(key, None)
        self._recent[key] = (taken.number, at)
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        if before is not None and before[0] != taken.number and at - before[1] <= self._window_us:
            unit.add_event(Event(now_us, "intake", "request.looked_alike", taken.number, None, str(before[0])))
            log.info("request.looked_alike", request=taken.number, earlier=before[0])


def _delivered(due_at: int | None) -> bool:
    """Only what is not on its way already needs to be sent again."""
    return due_at is None


def _lane(envelope: Envelope, sender: str) -> str:
    return f"{sender}|{envelope.transport}|{(envelope.principal or envelope.sender).upper()}"


def _ascii(text: str) -> str:
    return text if text.isascii() and text.isprintable() else ""


def content_digest(content: bytes) -> str:
    """The digest a store keeps of a message's bytes."""
    return sha256(content).hexdigest()


def reopened(unit: Unit, number: int, parts: mime.MimeLimits | None = None) -> Envelope:
    """The envelope of a journalled request; ``parts`` are the limits that its mail was read by (default: the usual)."""
    request = unit.request(number)
    raw = unit.raw(number)
    if request is None:
        raise LookupError(number)
    if request.wrapping == Wrapping.MAIL:
        opened = unwrapped(raw, parts)
    elif request.wrapping == Wrapping.EBMS:
        content, files = msh_content.reopened(raw, request.content_digest)
        opened = mime.Unwrapped(content, attachments=files)
    else:
        opened = mime.Unwrapped(raw)
    return Envelope(
        transport=request.transport,
        received_at=from_us(request.received_at),
        peer=request.peer,
        sender=request.sender,
        recipient=request.recipient,
        raw=raw,
        content=opened.content,
        wrapping=Wrapping(request.wrapping),
        content_type=request.content_type,
        attachments=opened.attachments,
        transport_id=request.transport_id,
        principal=request.principal,
        parent=request.parent,
        conversation=request.conversation,
        faults=opened.faults,
    )


def unwrapped(raw: bytes, parts: mime.MimeLimits | None = None) -> mime.Unwrapped:
    """A mail taken apart; what cannot be has no content, and so lies in quarantine."""
    try:
        return mime.unwrap(raw, parts or mime.MimeLimits())
    except mime.MimeError:
        return mime.Unwrapped(b"")


def _same_files(envelope: Envelope, unit: Unit, number: int) -> bool:
    """Whether a mail brings the files of an earlier one: a message is the same only with the same files."""
    if envelope.wrapping == Wrapping.EBMS:
        earlier = unit.raw(number)
        same = content_digest(envelope.content)
        return earlier == envelope.raw or msh_content.reopened(earlier, same)[1] == envelope.attachments
    return envelope.wrapping != Wrapping.MAIL or unwrapped(unit.raw(number)).attachments == envelope.attachments
