"""Reliable sending: what one attempt to post a letter came to, and when the next one is due.

*Strategy.* The house's couriers own the order and the timers; this is their sender for partners with an endpoint. An
attempt posts the bytes that were kept, and its end is one of the couriers' four: delivered when the Acknowledgment is
there (or none is agreed), *unknown* while it is waited for, deferred for what heals by itself, refused for what does
not. Retries end by time: after as many intervals as the agreement has attempts, or its duration, the message counts as
failed (DeliveryFailure, items 41 to 45). Attempts beside them, when a resting box is woken because something fresh
came for it, therefore use none of them up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.values import EbFault, EbMessage
from sekisho.gateway.clock import Clock
from sekisho.gateway.ebms_partners import EbmsPartner
from sekisho.gateway.msh_content import body_of
from sekisho.gateway.msh_letters import LetterGone, LetterMessages
from sekisho.gateway.msh_profiles import Profile
from sekisho.mailboxes.letters import SentMessage
from sekisho.transports.base import Outcome, Parcel, Report
from sekisho.transports.ebms import EbmsSender, Posted, Target

__all__ = ["EbmsCourier", "EbmsPlan"]

log = structlog.get_logger("sekisho.ebms")
_RECOVERABLE: Final = frozenset({408, 425, 429})
"""4xx that heal by themselves (item 12)."""
_FINAL: Final = frozenset({501, 505, 510})
"""5xx that do not (item 12)."""
_FAULT: Final = b"Fault>"
_HEAL: Final = (b":Server<", b">Server<")


@dataclass(frozen=True, slots=True)
class EbmsPlan:
    """When to try again, by the agreement; the shape of the house's own plan.

    There is always a next time until the letter is delivered or refused, because the end comes at one too: that is when
    :class:`EbmsCourier` sees that there is none left.
    """

    agreed: EbmsPartner

    def next_due(self, outcome: Outcome, attempts: int, created_at: int, now_us: int) -> int | None:  # noqa: ARG002 (the house's shape)
        """The next attempt after one that ended so; None: none."""
        if outcome in (Outcome.DELIVERED, Outcome.REFUSED):
            return None
        return now_us + int(self.agreed.retry_interval_seconds * 1_000_000)


class EbmsCourier:
    """Posts the letters of one box; what a house's courier calls its sender.

    ``profile_of`` gives the agreement that is in force. ``judge`` is the message service handler's check of a signal
    that came back in a response (parties, signature). ``settled`` waits until the answers to this box's requests that
    are being written are done, and gives the letters that went along with one: these are not posted as well, unless
    their Acknowledgment stays out.
    """

    def __init__(
        self,
        box: str,
        *,
        profile_of: Callable[[str], Profile | None],
        letters: LetterMessages,
        clock: Clock,
        judge: Callable[[Profile, EbMessage], Awaitable[None]],
        settled: Callable[[str], Awaitable[frozenset[int]]],
    ) -> None:
        self._box = box
        self._profile_of = profile_of
        self._letters = letters
        self._clock = clock
        self._judge = judge
        self._settled = settled
        self._senders: dict[str, EbmsSender] = {}

    async def send(self, parcels: Sequence[Parcel], report: Callable[[Report], None]) -> None:
        """Try each letter once, in order. The letters behind one that could not be delivered for now are not tried.

        They are not reported either: the store has them, behind that one.
        """
        said = await self._settled(self._box)
        for parcel in parcels:
            profile = self._profile_of(self._box)
            if profile is None or profile.target is None:
                report(Report(parcel.number, Outcome.DEFERRED, "no agreement in force says where to send it"))
                return
            if parcel.number in said:
                outcome, text = Outcome.UNKNOWN, "went with an answer; waiting for the Acknowledgment"
            else:
                outcome, text = await self._deliver(profile, profile.target, parcel.number)
            report(Report(parcel.number, outcome, text))
            if outcome is Outcome.DEFERRED:
                return

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(sender.close() for sender in self._senders.values()))

    async def _deliver(self, profile: Profile, target: Target, letter: int) -> tuple[Outcome, str]:
        try:
            sent = await self._letters.message_for(profile, letter)
        except LetterGone as gone:
            log.warning("ebms.letter_unsent", partner=profile.name, letter=letter, text=str(gone))
            return Outcome.REFUSED, str(gone)
        over = self._over(profile.agreed, sent)
        if over:
            state, text = over
            await self._letters.failed(sent, state, text)
            return Outcome.REFUSED, f"DeliveryFailure: {text}"
        sender = self._senders.get(profile.name)
        if sender is None:
            sender = self._senders[profile.name] = EbmsSender(target)
        posted = await sender.post(sent.content_type, sent.content)
        outcome, text = await self._outcome(profile, sent, posted)
        log.info("ebms.posted", partner=profile.name, letter=letter, message_id=sent.message_id,
                 outcome=outcome.value, text=text)  # fmt: skip
        return outcome, text

    def _over(self, agreed: EbmsPartner, sent: SentMessage) -> tuple[str, str] | None:
        """Whether nothing is left to try, and why (item 41)."""
        now, interval = self._clock.us(), int(agreed.retry_interval_seconds * 1_000_000)
        ends = sent.created_at + int(agreed.span_seconds * 1_000_000)
        if now >= max(sent.expires_at, ends + interval):  # nobody tried at its time: the gateway did not run
            return "expired", f"not sent within {agreed.persist_duration_seconds:g} s"
        if now >= ends:
            return "failed", f"no Acknowledgment after {agreed.retries + 1} attempts"
        return None

    async def _outcome(self, profile: Profile, sent: SentMessage, posted: Posted) -> tuple[Outcome, str]:
        if posted.outcome == "unreached":
            return Outcome.DEFERRED, posted.text
        if posted.outcome == "unknown":
            return Outcome.UNKNOWN, posted.text
        message = await self._read(profile, posted) if posted.body else None
        if message is not None:
            judged = await self._signal(profile, sent, message)
            if judged is not None:
                return judged
        status, text = posted.status, posted.text
        if 200 <= status < 300:
            return await self._accepted(profile, sent)
        if status in _RECOVERABLE:
            return Outcome.DEFERRED, text
        if status < 500 or status in _FINAL or (status == 500 and _is_client_fault(posted.body)):
            await self._letters.failed(sent, "failed", text)
            return Outcome.REFUSED, text
        return Outcome.DEFERRED, text

    async def _accepted(self, profile: Profile, sent: SentMessage) -> tuple[Outcome, str]:
        """2xx without a word: taken, and done where nothing more was agreed."""
        if profile.agreed.ack == "never":
            await self._letters.taken(profile, sent)
            return Outcome.DELIVERED, ""
        return Outcome.UNKNOWN, "waiting for the Acknowledgment"

    async def _signal(self, profile: Profile, sent: SentMessage, message: EbMessage) -> tuple[Outcome, str] | None:
        """What an ebMS message in the response says about ours; None: nothing that ends the attempt."""
        try:
            await self._judge(profile, message)
            if message.acknowledgment is not None and message.acknowledgment.ref_to == sent.message_id:
                await self._letters.acknowledged(profile, message)
                return Outcome.DELIVERED, ""
        except EbFault as fault:
            log.warning("ebms.response_refused", partner=profile.name, message_id=sent.message_id,
                        error=str(fault))  # fmt: skip
            return Outcome.UNKNOWN, f"the answer was not acceptable: {fault.code}"
        errors = message.errors
        if errors is None:
            log.warning("ebms.response_ignored", partner=profile.name, message_id=sent.message_id,
                        kind=message.kind)  # fmt: skip
            return None
        text = "; ".join(f"{one.code} {one.text}".strip() for one in errors.errors)[:500]
        if errors.highest == "Warning":
            log.warning("ebms.warned", partner=profile.name, message_id=sent.message_id, text=text)
            return None
        await self._letters.failed(sent, "failed", text)
        return Outcome.REFUSED, text

    async def _read(self, profile: Profile, posted: Posted) -> EbMessage | None:
        """The message in a response; None if it is none: a proxy's page, a SOAP Fault."""
        tolerances = frozenset(profile.agreed.tolerances)
        body = body_of(posted.content_type, posted.body, 0)
        try:
            return await asyncio.to_thread(read, posted.content_type, body, tolerances=tolerances)
        except EbFault as fault:
            log.info("ebms.response_unread", partner=profile.name, status=posted.status, error=str(fault))
            return None


def _is_client_fault(body: bytes) -> bool:
    """Whether a SOAP Fault says that the message itself is at fault: all but the fault code Server does."""
    return _FAULT in body and not any(code in body for code in _HEAL)
