"""Letters in HTTP responses: business replies that were asked for at once, and letters that a partner pulls.

*Strategy.* A business reply is waited for as long as the agreement says, then joins the Acknowledgment or stands alone,
and becomes the stored answer of its request; what comes too late goes the other way. A pull gets the oldest letter that
waits, the same bytes again until its Acknowledgment comes. Either way the letter stays in its box until the partner has
said that he has it, if that was agreed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

import structlog

from sekisho.codecs.ebms.values import EbMessage
from sekisho.gateway.msh_letters import Call, LetterGone, LetterMessages
from sekisho.gateway.msh_profiles import Profile
from sekisho.gateway.msh_words import Answered, Speaker, keep_answer
from sekisho.mailboxes.letters import Letter, LetterQuery, RequestState, SentMessage
from sekisho.mailboxes.store import Store

__all__ = ["Replies"]

log = structlog.get_logger("sekisho.ebms")
_UNDELIVERED: Final = ("waiting", "unknown", "failed")
_LOOKS: Final = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Seconds between looks for a reply: most are there with the commit, and long ones need no haste."""
_REMEMBERED: Final = 10_000
"""Letters that went with a response and are not posted as well; after a restart they are, as the same message."""
_LOOKED_AT: Final = 20


class Replies:
    """What goes into HTTP responses beside signals."""

    def __init__(self, store: Store, *, call: Call, letters: LetterMessages, speaker: Speaker) -> None:
        self._store = store
        self._call = call
        self._letters = letters
        self._speaker = speaker
        self._flights: dict[int, asyncio.Task[Answered]] = {}
        self._of_box: dict[str, set[asyncio.Task[Answered]]] = {}
        self._said: OrderedDict[int, str] = OrderedDict()

    # Pull --------------------------------------------------------------------------------------------------------

    async def pulled(self, profile: Profile, message: EbMessage) -> SentMessage | None:
        """The message of the oldest letter that waits for the partner; None if nothing does.

        Without Acknowledgments a letter is collected by the next pull that names its message in RefToMessageId.
        """
        ref_to = message.header.ref_to
        if profile.agreed.ack == "never" and ref_to:
            with self._store.view() as view:
                sent = view.sent_message(ref_to)
            if sent is not None and sent.partner == profile.name:
                await self._letters.taken(profile, sent)
        for letter in self._waiting(profile.agreed.box):
            try:
                return await self._letters.message_for(profile, letter.number, expires=profile.target is not None)
            except LetterGone as gone:
                log.warning("ebms.letter_unpullable", partner=profile.name, letter=letter.number, text=str(gone))
        return None

    def _waiting(self, box: str) -> list[Letter]:
        query = LetterQuery(box=box, states=_UNDELIVERED, oldest_first=True, limit=_LOOKED_AT)
        with self._store.view() as view:
            return view.letters(query)

    # Replies -----------------------------------------------------------------------------------------------------

    async def reply(self, profile: Profile, message: EbMessage, request: int, kept: Answered) -> Answered:
        """What is said about a request whose reply may go with its answer; ``kept`` is the answer without it.

        The same for everybody who asks meanwhile, and the stored answer when this returns.
        """
        flight = self._flights.get(request)
        if flight is None:
            flight = asyncio.create_task(self._reply(profile, message, request, kept))
            flights = self._of_box.setdefault(profile.agreed.box, set())
            self._flights[request] = flight
            flights.add(flight)

            def landed(done: asyncio.Task[Answered]) -> None:
                self._flights.pop(request, None)
                flights.discard(done)

            flight.add_done_callback(landed)
        return await asyncio.shield(flight)

    async def settled(self, box: str) -> frozenset[int]:
        """Wait for the answers to this box that are being written; the letters that went with one."""
        await asyncio.sleep(0)  # a request that was committed just now has its turn first
        flights = self._of_box.get(box)
        if flights:
            await asyncio.wait(set(flights))
        said = frozenset(letter for letter, of in self._said.items() if of == box)
        for letter in said:
            del self._said[letter]  # once: when it is due again, its Acknowledgment has stayed out
        return said

    async def _reply(self, profile: Profile, message: EbMessage, request: int, kept: Answered) -> Answered:
        answer = Answered(kept.content_type, kept.body)
        letter = await self._first_letter(profile, request)
        if letter is not None:
            answer = await self._with_letter(profile, message, letter, answer)
        stored = keep_answer(answer.content_type, answer.body)
        await asyncio.wrap_future(self._call(lambda unit: unit.set_answer(request, stored)))
        return answer

    async def _first_letter(self, profile: Profile, request: int) -> Letter | None:
        """The first letter that a request brought the partner, if it comes in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + profile.agreed.sync_wait_seconds
        for look in range(1_000_000):
            with self._store.view() as view:
                asked = view.request(request)
                letters = view.letters_of(request)
            own = [one for one in letters if one.box == profile.agreed.box and one.state in _UNDELIVERED]
            if own or asked is None or asked.state is not RequestState.RECEIVED:
                return own[0] if own else None
            wait = min(_LOOKS[min(look, len(_LOOKS) - 1)], until - loop.time())
            if wait < 0:
                break
            await asyncio.sleep(wait)
        log.info("ebms.reply_late", partner=profile.name, request=request)
        return None

    async def _with_letter(
        self, profile: Profile, message: EbMessage, letter: Letter, answer: Answered
    ) -> Answered:
        under_way = self._letters.under_way(letter.number)
        joined = bool(answer.body)  # signals and response together: one message with both
        if under_way is not None and joined:
            return answer  # it left by itself before this was asked, and says nothing of this request
        receipt = self._speaker.receipt(profile, message) if joined else None
        try:
            sent = await self._letters.message_for(
                profile, letter.number, expires=profile.target is not None, receipt=receipt
            )
        except LetterGone:
            return answer
        if profile.agreed.ack == "never":
            await self._letters.taken(profile, sent)  # a repeat of the request brings it again
        else:
            self._said[letter.number] = profile.agreed.box
            if len(self._said) > _REMEMBERED:
                self._said.popitem(last=False)
        return Answered(sent.content_type, sent.content)
