"""Letters as ebMS messages: made once, kept before the first attempt, and what became of them.

*Strategy.* A letter that leaves by ebMS is built, signed and stored once; every attempt, push or pull, sends those
bytes (item 42). Only when that message has come to an end (acknowledged, failed, expired) and the letter is asked for
again does it become a new message, because the old one would be recognised and dropped. An Acknowledgment takes the
letter out of its box, in one transaction, whoever is trying to send it meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final

import structlog

from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.signing import same_references
from sekisho.codecs.ebms.values import Acknowledgment, EbFault, EbMessage
from sekisho.codecs.envelope import Wrapping
from sekisho.gateway.clock import Clock
from sekisho.gateway.msh_content import body_of
from sekisho.gateway.msh_profiles import Profile
from sekisho.gateway.msh_rules import fault
from sekisho.gateway.msh_words import Speaker, content_of
from sekisho.mailboxes.letters import EBMS, Event, Mark, SentMessage
from sekisho.mailboxes.store import Store, Unit

__all__ = ["LetterGone", "LetterMessages"]

log = structlog.get_logger("sekisho.ebms")
Call = Callable[[Callable[[Unit], Any]], "Future[Any]"]
_EVER: Final = 2**62


class LetterGone(Exception):
    """The letter has left its box, or nothing agreed with the partner carries it; the text says which."""


class LetterMessages:
    """The messages that carry letters.

    ``call`` runs something in a transaction (the clerk's); ``on_collected`` is told which letters of a box are out.
    """

    def __init__(
        self,
        store: Store,
        *,
        call: Call,
        speaker: Speaker,
        clock: Clock,
        on_collected: Callable[[str, Sequence[int]], None] = lambda _box, _letters: None,
    ) -> None:
        self._store = store
        self._call = call
        self._speaker = speaker
        self._clock = clock
        self._on_collected = on_collected
        self._making: dict[int, asyncio.Task[SentMessage]] = {}

    async def message_for(
        self,
        profile: Profile,
        letter: int,
        *,
        expires: bool = True,
        receipt: Acknowledgment | None = None,
    ) -> SentMessage:
        """The message of a letter: the one that is under way, or a new one, which is on disk when this returns.

        ``expires``: it will be sent by retries. ``receipt`` acknowledges a request in the same message, where that is a
        new one. Raises :class:`LetterGone`.
        """
        making = self._making.get(letter)
        if making is None:
            making = asyncio.create_task(self._make(profile, letter, expires, receipt))
            self._making[letter] = making
            making.add_done_callback(lambda _: self._making.pop(letter, None))
        return await asyncio.shield(making)

    async def _make(
        self,
        profile: Profile,
        number: int,
        expires: bool,
        receipt: Acknowledgment | None,
    ) -> SentMessage:
        with self._store.view() as view:
            letter = view.letter(number)
            if letter is None or letter.state == "deleted" or (letter.state == "delivered" and not letter.due_at):
                raise LetterGone("the letter has left its box")
            sent = view.sent_for(number)
            if sent is not None and sent.state == "waiting" and sent.partner == profile.name:
                return sent
            content = view.content(number)
            request = view.request(letter.request)
        action = profile.agreed.outgoing(content_of(content))
        if action is None:
            raise LetterGone(f"no action is agreed that carries {content_of(content)} letters out")
        # A reply belongs to the request's conversation only where that came from this partner by ebMS.
        asked = request if request is not None and request.wrapping == Wrapping.EBMS else None
        if asked is not None and asked.principal != profile.agreed.box:
            asked = None
        message = self._speaker.business(
            profile,
            action,
            content,
            letter=number,
            conversation=asked.conversation if asked is not None else "",
            ref_to=asked.transport_id if asked is not None else "",
            receipt=receipt,
            expires=expires,
        )
        wire = await self._speaker.signed(profile, message)
        now = self._clock.us()
        until = now + int(profile.agreed.persist_duration_seconds * 1_000_000) if expires else _EVER
        made = SentMessage(message.header.message_id, number, profile.name, wire.content_type, wire.body, now, until)
        await asyncio.wrap_future(self._call(lambda unit: unit.put_sent(made)))
        return made

    # What became of them -----------------------------------------------------------------------------------------

    async def acknowledged(self, profile: Profile, message: EbMessage) -> None:
        """Take an Acknowledgment: the letter has arrived. Raises :class:`EbFault` for one that is not ours or not good.

        It counts only from the partner that the message went to, and where signed ones are agreed only with the
        digests of what was sent (spec section 6). A late one does not undo the failure; both are kept (item 44).
        """
        receipt = message.acknowledgment
        if receipt is None:
            raise fault(message, "Inconsistent", "there is no Acknowledgment in it", "eb:Acknowledgment")
        sent = self._sent(profile, receipt.ref_to)
        if sent is None:
            where = "eb:Acknowledgment/eb:RefToMessageId"
            raise fault(message, "ValueNotRecognized", "we have sent no such message", where)
        if profile.agreed.ack_signed and not same_references(self._digests(sent), receipt.references):
            text = "the digests are not those of the message that was sent"
            raise fault(message, "SecurityFailure", text, "eb:Acknowledgment/ds:Reference")
        await self._arrived(profile, sent, message.header.message_id)

    async def taken(self, profile: Profile, sent: SentMessage) -> None:
        """The partner has it, and no Acknowledgment is agreed."""
        await self._arrived(profile, sent, "")

    async def refused(self, profile: Profile, message: EbMessage) -> bool:
        """Take a MessageError about a message of ours; whether it was one. A Warning changes nothing."""
        sent = self._sent(profile, message.header.ref_to)
        errors = message.errors
        text = "; ".join(f"{one.code} {one.text}".strip() for one in errors.errors)[:500] if errors is not None else ""
        log.warning("ebms.error_received", partner=profile.name, ref_to=message.header.ref_to, text=text,
                    ours=sent is not None)  # fmt: skip
        if sent is None or sent.state != "waiting":
            return sent is not None
        if errors is not None and errors.highest == "Warning":
            self._note(sent, "message.warned", text)
            return True
        await self.failed(sent, "failed", text, mark=True)
        return True

    async def failed(self, sent: SentMessage, state: str, text: str, *, mark: bool = False) -> None:
        """It will not be sent any more: DeliveryFailure (item 43). With ``mark`` the letter is told here."""
        now = self._clock.us()

        def work(unit: Unit) -> None:
            unit.put_sent(replace(sent, state=state))
            detail = f"DeliveryFailure: {text}"
            unit.add_event(Event(now, sent.partner, "message.undelivered", None, sent.letter, detail))
            if mark:
                unit.mark([Mark(sent.letter, "refused", now, None, text, EBMS)])

        await asyncio.wrap_future(self._call(work))
        log.error("ebms.delivery_failed", partner=sent.partner, letter=sent.letter, message_id=sent.message_id,
                  state=state, text=text)  # fmt: skip

    def under_way(self, letter: int) -> SentMessage | None:
        """The message of a letter that has not come to an end."""
        with self._store.view() as view:
            sent = view.sent_for(letter)
        return sent if sent is not None and sent.state == "waiting" else None

    def _sent(self, profile: Profile, message_id: str) -> SentMessage | None:
        """A message of ours to this partner; to another it does not exist."""
        with self._store.view() as view:
            sent = view.sent_message(message_id)
        return sent if sent is not None and sent.partner == profile.name else None

    def _digests(self, sent: SentMessage) -> Any:  # noqa: ANN401 - the codec's own tuple
        body = body_of(sent.content_type, sent.content, 0)
        try:
            return read(sent.content_type, body).digests
        except EbFault:
            log.exception("ebms.sent_unreadable", message_id=sent.message_id)
            return ()

    async def _arrived(self, profile: Profile, sent: SentMessage, receipt: str) -> None:
        if sent.acknowledged_at is not None:
            return
        now, box = self._clock.us(), profile.agreed.box
        late = sent.state != "waiting"

        def work(unit: Unit) -> list[int]:
            state = sent.state if late else "acknowledged"
            unit.put_sent(replace(sent, state=state, acknowledged_at=now))
            kind = "message.acknowledged_late" if late else "message.acknowledged"
            unit.add_event(Event(now, sent.partner, kind, None, sent.letter, receipt))
            gone = unit.collect([sent.letter], box, EBMS, now)
            if not gone:  # it was delivered before and is sent again: what is due is to be due no more
                unit.mark([Mark(sent.letter, "delivered", now, None, "", EBMS)])
            return gone or [sent.letter]

        gone = await asyncio.wrap_future(self._call(work))
        self._on_collected(box, gone)
        log.info("ebms.acknowledged", partner=sent.partner, letter=sent.letter, message_id=sent.message_id, late=late)

    def _note(self, sent: SentMessage, kind: str, text: str) -> None:
        now = self._clock.us()
        self._call(lambda unit: unit.add_event(Event(now, sent.partner, kind, None, sent.letter, text)))
