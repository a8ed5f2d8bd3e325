"""What the message service handler says: Acknowledgment, MessageError, Pong, StatusResponse, and letters as messages.

*Strategy.* A message is made from values, written and, where it was agreed, signed; what leaves here is bytes
that are kept and sent as they are. Ids, boundaries and times are made here and nowhere else. Signing takes a
millisecond or more of a processor, so it happens in threads of its own; everything else is quick enough for the loop.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sekisho.codecs.ebms.names import (
    ACKNOWLEDGMENT,
    MESSAGE_ERROR,
    MSH_SERVICE,
    PONG,
    STATUS_RESPONSE,
    TO_PARTY_MSH,
)
from sekisho.codecs.ebms.values import (
    Acknowledgment,
    AckRequested,
    EbError,
    EbFault,
    EbMessage,
    ErrorList,
    Header,
    ManifestItem,
    MessageStatus,
    Party,
    Payload,
    Service,
    Severity,
    StatusResponse,
    Wire,
)
from sekisho.codecs.ebms.writing import write
from sekisho.codecs.mime import is_interchange
from sekisho.gateway.clock import Clock, from_us
from sekisho.gateway.ebms_partners import Action
from sekisho.gateway.msh_profiles import Profile

__all__ = ["Answered", "Speaker", "content_of", "keep_answer", "kept_answer"]

_SIGNALS: Final = Service(MSH_SERVICE)
_MEDIA_TYPES: Final = {"naccs": "text/plain", "edifact": "application/EDIFACT", "xml": "text/xml"}
_SIGNERS: Final = 2
"""Threads that sign and verify; RSA runs beside the loop, the rest of the work does not."""
_ID_DIGITS: Final = 24
_IDS_AT_ONCE: Final = 32
_PLAIN: Final = re.compile(r"[!-%'-;=?-~]+")
"""ASCII without blanks, & < and >: stands in XML as it is."""
_BLANKS: Final = ("urn:blank-cpa", "blank-conversation", "blank-ref@x", "blank-id@x")
_BLANK_TIME: Final = datetime(1999, 12, 31, 23, 59, 59, 999_000, UTC)
_BLANK_TEXT: Final = "1999-12-31T23:59:59.999Z"
_NAMES: Final = ("cpa", "conversation", "ref_to", "id", "stamp")
_PROVISIONAL: Final = b"Pending: business-reply\r\n"


def content_of(content: bytes) -> str:
    """naccs, edifact or xml."""
    if is_interchange(content):
        return "edifact"
    return "xml" if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else "naccs"


@dataclass(frozen=True, slots=True)
class Answered:
    """A stored answer: what goes out for a message, whenever it comes again. ``pending``: a reply may join it."""

    content_type: str
    body: bytes
    pending: bool = False


def keep_answer(content_type: str, body: bytes, *, pending: bool = False) -> bytes:
    """An answer as the journal keeps it."""
    head = b"Content-Type: " + content_type.encode("ascii") + b"\r\n" if body else b""
    return head + (_PROVISIONAL if pending else b"") + b"\r\n" + body


def kept_answer(kept: bytes) -> Answered:
    """The answer again; an empty one says nothing."""
    head, _, body = kept.partition(b"\r\n\r\n") if kept[:2] != b"\r\n" else (b"", b"", kept[2:])
    pending = (head + b"\r\n").endswith(_PROVISIONAL)
    line = head.split(b"\r\n")[0]
    content_type = line.removeprefix(b"Content-Type: ").decode("ascii") if line.startswith(b"Content-Type: ") else ""
    return Answered(content_type, body, pending)


class Speaker:
    """Makes our messages. ``domain`` is the right side of our ids; ``clock`` gives their times."""

    def __init__(self, *, domain: str, clock: Clock) -> None:
        self._domain = domain
        self._clock = clock
        self._chance = ""
        """Random digits for ids, drawn for many at once."""
        self._receipts: dict[tuple[str, str], str] = {}
        self._signing = ThreadPoolExecutor(_SIGNERS, "sekisho-sign")

    def close(self) -> None:
        """End its threads."""
        self._signing.shutdown(wait=False, cancel_futures=True)

    def new_id(self, name: str = "") -> str:
        """A MessageId that nobody has used (item 20)."""
        if len(self._chance) < _ID_DIGITS:
            self._chance = secrets.token_hex(_ID_DIGITS // 2 * _IDS_AT_ONCE)
        made, self._chance = self._chance[-_ID_DIGITS:], self._chance[:-_ID_DIGITS]
        return f"{name}{'.' if name else ''}{made}@{self._domain}"

    def now(self) -> datetime:
        """The time in UTC, to the millisecond: what our time stamps carry."""
        now = self._clock.utc()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    # Signals -----------------------------------------------------------------------------------------------------

    def acknowledgment(self, profile: Profile, received: EbMessage) -> EbMessage:
        """The Acknowledgment of a message (items 31 to 34). Raises :class:`EbFault` if it must be signed and cannot."""
        return EbMessage(
            self._signal(profile, received.header, ACKNOWLEDGMENT), acknowledgment=self.receipt(profile, received)
        )

    def receipt(self, profile: Profile, received: EbMessage) -> Acknowledgment:
        """The Acknowledgment block alone, for a message of its own or beside a business reply."""
        asked = received.ack_requested
        if asked is not None and asked.signed and profile.signer is None:
            raise EbFault(
                "Inconsistent",
                "signed acknowledgments are not agreed",
                location="/SOAP:Envelope/SOAP:Header/eb:AckRequested",
                header=received.header,
            )
        return Acknowledgment(
            timestamp=self.now(),
            ref_to=received.header.message_id,
            sender=profile.us,
            references=received.digests if asked is not None and asked.signed else (),
            actor=asked.actor if asked is not None else TO_PARTY_MSH,
        )

    def error(self, profile: Profile | None, header: Header, errors: Sequence[EbError]) -> EbMessage:
        """A MessageError about a message; without a profile the parties are those it names, the other way round."""
        highest: Severity = "Error" if any(one.severity == "Error" for one in errors) else "Warning"
        return EbMessage(self._signal(profile, header, MESSAGE_ERROR), errors=ErrorList(highest, tuple(errors)))

    def pong(self, profile: Profile, ping: EbMessage) -> EbMessage:
        """The Pong of a Ping (item 51)."""
        return EbMessage(self._signal(profile, ping.header, PONG))

    def status(
        self, profile: Profile, asked: EbMessage, ref_to: str, status: MessageStatus, received_us: int | None
    ) -> EbMessage:
        """The StatusResponse of a StatusRequest (item 52); ``received_us`` only where the message is known."""
        at = self._utc(received_us) if received_us is not None else None
        return EbMessage(
            self._signal(profile, asked.header, STATUS_RESPONSE), status_response=StatusResponse(ref_to, status, at)
        )

    def _signal(self, profile: Profile | None, header: Header, action: str) -> Header:
        us, them = (profile.us, profile.them) if profile is not None else (header.receiver, header.sender)
        return Header(
            sender=_roleless(us),
            receiver=_roleless(them),
            cpa_id=header.cpa_id,
            conversation=header.conversation,
            service=_SIGNALS,
            action=action,
            message_id=self.new_id(),
            timestamp=self.now(),
            ref_to=header.message_id,
        )

    # Letters -----------------------------------------------------------------------------------------------------

    def business(
        self,
        profile: Profile,
        action: Action,
        content: bytes,
        *,
        letter: int,
        conversation: str,
        ref_to: str,
        receipt: Acknowledgment | None = None,
        expires: bool = True,
    ) -> EbMessage:
        """A letter as a business message; ``expires``: it is sent again and again, and then no more (item 23)."""
        agreed = profile.agreed
        now = self.now()
        message_id = self.new_id(f"letter-{letter}")
        content_id = f"payload-1.{message_id}"
        media_type = action.media_type or _MEDIA_TYPES[content_of(content)]
        wants_ack = agreed.ack != "never"
        return EbMessage(
            Header(
                sender=profile.us,
                receiver=profile.them,
                cpa_id=agreed.cpa_id,
                conversation=conversation or message_id,
                service=action.named,
                action=action.action,
                message_id=message_id,
                timestamp=now,
                ref_to=ref_to,
                time_to_live=now + timedelta(seconds=agreed.span_seconds) if wants_ack and expires else None,
                duplicate_elimination=agreed.duplicate_elimination != "never",
            ),
            ack_requested=AckRequested(agreed.ack_signed, agreed.actor) if wants_ack else None,
            acknowledgment=receipt,
            manifest=(ManifestItem(f"cid:{content_id}"),),
            payloads=(Payload(content_id, media_type, content),),
        )

    def plain_receipt(self, profile: Profile, received: EbMessage) -> Wire:
        """The unsigned Acknowledgment of a message as bytes.

        All of a partner's differ in five values, so the first one is written and the others are filled in: that is a
        tenth of what writing costs. A value that XML might have to spell otherwise is written in full.
        """
        header, asked = received.header, received.ack_requested
        values = (header.cpa_id, header.conversation, header.message_id)
        if asked is None or not all(map(_PLAIN.fullmatch, values)):
            return self.wire(self.acknowledgment(profile, received))
        key = (profile.name, asked.actor)
        form = self._receipts.get(key)
        if form is None:
            blank = replace(header, cpa_id=_BLANKS[0], conversation=_BLANKS[1], message_id=_BLANKS[2])
            said = self.acknowledgment(profile, replace(received, header=blank))
            receipt = said.acknowledgment
            said = replace(
                said,
                header=replace(said.header, message_id=_BLANKS[3], timestamp=_BLANK_TIME),
                acknowledgment=replace(receipt, timestamp=_BLANK_TIME) if receipt is not None else None,
            )
            text = self.wire(said).body.decode("utf-8").replace("%", "%%")
            for blank_value, name in zip((*_BLANKS, _BLANK_TEXT), _NAMES, strict=True):
                text = text.replace(blank_value, f"%({name})s")
            form = self._receipts[key] = text
        stamp = self._clock.utc().isoformat(timespec="milliseconds")[:-6] + "Z"  # instead of +00:00
        filled = form % dict(zip(_NAMES, (*values, self.new_id(), stamp), strict=True))
        return Wire("text/xml; charset=UTF-8", filled.encode("utf-8"))

    # Bytes -------------------------------------------------------------------------------------------------------

    def wire(self, message: EbMessage) -> Wire:
        """Unsigned bytes."""
        return write(message, boundary=f"=-{secrets.token_hex(16)}", content_id=f"soap.{message.header.message_id}")

    async def signed(self, profile: Profile, message: EbMessage) -> Wire:
        """Signed bytes where we sign with this partner, else unsigned ones."""
        signer = profile.signer
        if signer is None:
            return self.wire(message)
        boundary, content_id = f"=-{secrets.token_hex(16)}", f"soap.{message.header.message_id}"
        return await asyncio.get_running_loop().run_in_executor(
            self._signing, lambda: write(message, boundary=boundary, content_id=content_id, signer=signer)
        )

    async def verify(self, profile: Profile, message: EbMessage) -> None:
        """Judge a signature, beside the loop. Raises :class:`EbFault` with SecurityFailure."""
        verifier = profile.verifier
        if verifier is not None:
            now = self._clock.utc()
            await asyncio.get_running_loop().run_in_executor(
                self._signing, lambda: verifier.verify(message, now=now)
            )

    def _utc(self, microseconds: int) -> datetime:
        moment = from_us(microseconds).astimezone(self.now().tzinfo)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _roleless(party: Party) -> Party:
    """Signals are between the handlers, which play no role in the business."""
    return Party(party.ids)
