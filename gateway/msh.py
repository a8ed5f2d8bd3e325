"""The message service handler: what becomes of an ebMS 2.0 message that comes in.

*Strategy.* The steps of spec/ebms.md section 5 in their order: read, choose the agreement, judge by it, judge the
signature, and only then look what the message wants. A business message is kept together with the answer it will get,
in one transaction, and answered after it; whoever sends it again gets those bytes (items 36 and 38). What is not
acceptable becomes a MessageError or a SOAP Fault in exactly one place, :meth:`MessageService._refuse`.

Signals go into the HTTP response or to the partner's endpoint, as agreed; those that are posted are not retried for
long, because a partner that missed one asks again and gets the stored one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from sekisho.codecs.ebms.names import NOTES
from sekisho.codecs.ebms.values import LIMITS, EbFault, EbMessage, Limits, MessageStatus
from sekisho.codecs.ebms.writing import soap_fault
from sekisho.codecs.envelope import Envelope, Wrapping
from sekisho.gateway.clock import Clock
from sekisho.gateway.ebms_partners import Action
from sekisho.gateway.msh_content import body_of, chosen, files
from sekisho.gateway.msh_letters import Call, LetterMessages
from sekisho.gateway.msh_profiles import Known, Profile, Profiles
from sekisho.gateway.msh_rules import expired, fault, judge, judge_action, judge_soap_action, must_be_signed
from sekisho.gateway.msh_send import EbmsCourier, EbmsPlan
from sekisho.gateway.msh_signals import SignalPost
from sekisho.gateway.msh_sync import Replies
from sekisho.gateway.msh_words import Answered, Speaker, keep_answer, kept_answer
from sekisho.mailboxes.letters import RequestState
from sekisho.mailboxes.store import Store
from sekisho.transports.base import Receipt, Submit, Verdict
from sekisho.transports.ebms import Answer, Caller, Post

__all__ = ["MessageService"]

log = structlog.get_logger("sekisho.ebms")
_LOOP_BYTES: Final = 256 * 1024
"""Bodies above this are taken apart in a thread: their slicing alone would be felt by the other connections."""
_RETRY_SECONDS: Final = {Verdict.BUSY: 10, Verdict.FULL: 60}
_NOTHING: Final = Answer(200)
_SIGNALS: Final = frozenset({"acknowledgment", "error", "pong", "status-response"})


class MessageService:
    """One for the house. It is the :class:`~sekisho.transports.ebms.Handler` of its endpoints.

    ``submit`` takes envelopes in, ``call`` runs something in a transaction (both the clerk's); ``on_collected`` is told
    which letters of a box have arrived; ``domain`` is the right side of our MessageIds. ``limits`` bound what one
    message may cost; ``signal_tries`` and ``signal_wait`` (seconds) how often an asynchronous signal is posted.
    :meth:`sender_of` makes the couriers' senders; :meth:`close` ends what runs beside.
    """

    def __init__(
        self,
        profiles: Profiles,
        *,
        store: Store,
        submit: Submit,
        call: Call,
        clock: Clock,
        domain: str,
        on_collected: Callable[[str, Sequence[int]], None] = lambda _box, _letters: None,
        limits: Limits = LIMITS,
        signal_tries: int = 3,
        signal_wait: float = 5.0,
    ) -> None:
        self.profiles = profiles
        self._store = store
        self._submit = submit
        self._clock = clock
        self._limits = limits
        self._speaker = Speaker(domain=domain, clock=clock)
        self._letters = LetterMessages(
            store, call=call, speaker=self._speaker, clock=clock, on_collected=on_collected
        )
        self._replies = Replies(store, call=call, letters=self._letters, speaker=self._speaker)
        self._signals = SignalPost(tries=signal_tries, wait=signal_wait)
        self._call = call

    def sender_of(self, box: str) -> EbmsCourier | None:
        """Who posts the letters of a box; None if its partner has no endpoint."""
        if not any(one.agreed.box == box and one.target is not None for one in self.profiles.all):
            return None
        return EbmsCourier(
            box,
            profile_of=self._in_force,
            letters=self._letters,
            clock=self._clock,
            judge=self.judge_signal,
            settled=self._replies.settled,
        )

    def plan_of(self, box: str) -> EbmsPlan | None:
        """When letters of a box are tried again; None where nothing is agreed. One that is not in force yet counts."""
        profile = self._in_force(box) or next((one for one in self.profiles.all if one.agreed.box == box), None)
        return EbmsPlan(profile.agreed) if profile is not None else None

    def _in_force(self, box: str) -> Profile | None:
        return self.profiles.of_box(box, self._clock.utc())

    async def close(self) -> None:
        """Give up what is still to be posted; partners that miss it ask again."""
        await self._signals.close()
        self._speaker.close()

    # The endpoint's side -----------------------------------------------------------------------------------------

    async def identify(self, caller: Caller) -> Known:
        """See :class:`sekisho.transports.ebms.Handler`."""
        return await self.profiles.identify(caller)

    def most(self, partner: Known) -> int:
        """See :class:`sekisho.transports.ebms.Handler`."""
        return partner.most

    async def receive(self, partner: Known, post: Post) -> Answer:
        """Take one message in and give its answer. Raises nothing for what a peer may send."""
        profile: Profile | None = None
        message: EbMessage | None = None
        try:
            judge_soap_action(partner, post.soap_action)
            message = await self._read(partner, post, partner.tolerances)
            profile = partner.choose(message.header)
            if message.findings and not {finding.name for finding in message.findings} <= _tolerated(profile):
                message = await self._read(partner, post, frozenset(profile.agreed.tolerances))  # raises what is wrong
            await self.judge_signal(profile, message)
            if message.findings:
                names = sorted({finding.name for finding in message.findings})
                log.info("ebms.tolerated", partner=profile.name, message_id=message.header.message_id, findings=names)
            return await self._act(profile, message, post)
        except EbFault as refused:
            return await self._refuse(profile, message, refused, post)

    async def judge_signal(self, profile: Profile, message: EbMessage) -> None:
        """The agreement's rules for every message, and the signature. Raises :class:`EbFault`."""
        judge(profile, message, self._clock.utc())
        if message.is_signed and profile.verifier is not None:
            await self._speaker.verify(profile, message)
        elif must_be_signed(profile, message):
            raise fault(message, "SecurityFailure", "a signature is agreed, and there is none", "ds:Signature")

    async def _read(self, partner: Known, post: Post, tolerances: frozenset[str]) -> EbMessage:
        body = body_of(post.content_type, post.raw, post.start)
        external = any(one.agreed.external_references for one in partner.profiles)

        def work() -> EbMessage:
            return partner.forms.read(
                post.content_type, body, tolerances=tolerances, limits=self._limits, external_references=external
            )

        return await asyncio.to_thread(work) if len(body) > _LOOP_BYTES else work()

    # What it wants -----------------------------------------------------------------------------------------------

    async def _act(self, profile: Profile, message: EbMessage, post: Post) -> Answer:
        if message.acknowledgment is not None:  # alone, or beside a business message
            await self._letters.acknowledged(profile, message)
        kind = message.kind
        if kind == "business":
            action = judge_action(profile, message)
            if action is None:
                return await self._pull(profile, message)
            return await self._take(profile, message, action, post)
        if kind == "error":
            await self._letters.refused(profile, message)
        elif kind == "ping":
            return await self._asked(profile, message, profile.agreed.ping, self._pong)
        elif kind == "status-request":
            return await self._asked(profile, message, profile.agreed.status_request, self._status)
        else:
            log.info("ebms.signal_received", partner=profile.name, kind=kind, ref_to=message.header.ref_to)
        return _NOTHING

    async def _take(self, profile: Profile, message: EbMessage, action: Action, post: Post) -> Answer:
        """A business message: kept with its answer, then answered."""
        header, agreed = message.header, profile.agreed
        identity = f"{profile.name}|{header.message_id}"
        if late := expired(message, self._clock.utc()):
            with self._store.view() as view:
                if view.find_request(identity) is None:
                    raise late  # a duplicate is not late: it was in time when it came first
        payload = chosen(message, action)
        answer = await self._answer_of(profile, message, identity)
        sync = agreed.replies_in_response and message.sync_reply is not None
        envelope = Envelope(
            transport=post.caller.listener,
            received_at=self._clock.utc(),
            peer=post.caller.peer,
            sender=header.sender.ids[0].value,
            recipient=header.receiver.ids[0].value,
            raw=post.raw,
            content=payload.content if payload is not None else b"",
            wrapping=Wrapping.EBMS,
            content_type=payload.content_type if payload is not None else "",
            attachments=files(message.payloads, payload),
            transport_id=header.message_id,
            principal=agreed.box,
            conversation=header.conversation,
            identity=identity,
            answer=keep_answer(answer.content_type, answer.body, pending=sync) if answer.body or sync else b"",
        )
        receipt = await self._submit(envelope)
        if receipt.verdict in _RETRY_SECONDS:
            return Answer(503, retry_after=_RETRY_SECONDS[receipt.verdict])
        if receipt.verdict is not Verdict.ACCEPTED:
            text = "this MessageId was used for another message" if receipt.repeated else "not taken"
            raise fault(message, "Inconsistent", text, "eb:MessageHeader/eb:MessageData/eb:MessageId")
        return await self._accepted(profile, message, receipt, Answered(answer.content_type, answer.body, sync))

    async def _answer_of(self, profile: Profile, message: EbMessage, identity: str) -> Answered:
        """The Acknowledgment, made before the message is kept; of a known message none is made again."""
        if message.ack_requested is None or profile.agreed.sync_reply == "responseOnly":
            return Answered("", b"")
        if not message.ack_requested.signed and profile.signer is None:
            wire = self._speaker.plain_receipt(profile, message)
            return Answered(wire.content_type, wire.body)
        said = self._speaker.acknowledgment(profile, message)
        if not message.ack_requested.signed:
            wire = self._speaker.wire(said)
            return Answered(wire.content_type, wire.body)
        with self._store.view() as view:
            if view.find_request(identity) is not None:
                return Answered("", b"")
        wire = await self._speaker.signed(profile, said)
        return Answered(wire.content_type, wire.body)

    async def _accepted(self, profile: Profile, message: EbMessage, receipt: Receipt, answer: Answered) -> Answer:
        """The message is on disk: say what is stored for it, a business reply with it where that is agreed."""
        if receipt.repeated:
            answer = kept_answer(receipt.answer)
            with self._store.view() as view:
                request = view.request(receipt.number)
            if request is not None and request.state is RequestState.PARKED:  # item 40
                where = "eb:MessageHeader/eb:MessageData/eb:MessageId"
                raise fault(message, "DeliveryFailure", "taken, and then not processed; an operator looks at it", where)
        if answer.pending:
            answer = await self._replies.reply(profile, message, receipt.number, answer)
            return _response(answer)
        return self._say(profile, answer, sync=message.sync_reply is not None)

    async def _pull(self, profile: Profile, message: EbMessage) -> Answer:
        if late := expired(message, self._clock.utc()):
            raise late
        sent = await self._replies.pulled(profile, message)
        if sent is not None:
            return Answer(200, sent.content_type, sent.content)
        if message.ack_requested is None:
            return _NOTHING
        wire = await self._speaker.signed(profile, self._speaker.acknowledgment(profile, message))
        return Answer(200, wire.content_type, wire.body)

    async def _asked(
        self,
        profile: Profile,
        message: EbMessage,
        policy: str,
        answer: Callable[[Profile, EbMessage, bool], Awaitable[EbMessage]],
    ) -> Answer:
        """Ping and StatusRequest (items 51 to 53)."""
        if policy == "ignore":
            return _NOTHING
        said = await answer(profile, message, policy == "refuse")
        wire = await self._speaker.signed(profile, said)
        return self._say(profile, Answered(wire.content_type, wire.body), sync=message.sync_reply is not None)

    async def _pong(self, profile: Profile, message: EbMessage, refuse: bool) -> EbMessage:
        if refuse:
            raise fault(message, "NotSupported", "Ping is not agreed", "eb:MessageHeader/eb:Action")
        return self._speaker.pong(profile, message)

    async def _status(self, profile: Profile, message: EbMessage, refuse: bool) -> EbMessage:
        """What became of a message: of another partner's nothing is known."""
        ref_to = message.status_request.ref_to if message.status_request is not None else ""
        if refuse:
            return self._speaker.status(profile, message, ref_to, "UnAuthorized", None)
        with self._store.view() as view:
            request = view.find_request(f"{profile.name}|{ref_to}")
        if request is None:
            return self._speaker.status(profile, message, ref_to, "NotRecognized", None)
        status: MessageStatus = "Processed" if request.state is RequestState.DONE else "Received"
        return self._speaker.status(profile, message, ref_to, status, request.received_at)

    # What is said ------------------------------------------------------------------------------------------------

    def _say(self, profile: Profile, answer: Answered, *, sync: bool) -> Answer:
        """A signal: in the response, or by a post of its own. ``sync``: it was asked for in the response."""
        if not answer.body:
            return _NOTHING
        if profile.agreed.signals_in_response or sync:
            return _response(answer)
        if profile.target is not None:
            self._signals.put(profile.name, profile.target, answer)
        return _NOTHING

    async def _refuse(
        self, profile: Profile | None, message: EbMessage | None, refused: EbFault, post: Post
    ) -> Answer:
        """The one place where a fault is answered."""
        header = message.header if message is not None else refused.header
        log.warning(
            "ebms.refused",
            partner=profile.name if profile is not None else "",
            peer=post.caller.peer,
            message_id=header.message_id if header is not None else "",
            code=refused.code,
            location=refused.location,
            text=refused.text,
        )
        if refused.soap_client or header is None:
            return Answer(500, "text/xml; charset=UTF-8", soap_fault(refused.soap_code or "Client", refused.text))
        kind = message.kind if message is not None else EbMessage(header).kind
        if kind in _SIGNALS and kind != "acknowledgment":
            return _NOTHING  # an error is never answered with an error (item 57)
        said = self._speaker.error(profile, header, [refused.as_error()])
        wire = await self._speaker.signed(profile, said) if profile is not None else self._speaker.wire(said)
        if profile is None:
            return Answer(200, wire.content_type, wire.body)  # without an agreement there is no other address (item 68)
        sync = message is not None and message.sync_reply is not None
        return self._say(profile, Answered(wire.content_type, wire.body), sync=sync)


def _tolerated(profile: Profile) -> frozenset[str]:
    """Findings that this partner's messages may have."""
    return frozenset(profile.agreed.tolerances) | NOTES.keys()


def _response(answer: Answered) -> Answer:
    return Answer(200, answer.content_type, answer.body)
