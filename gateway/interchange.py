"""The way of an EDIFACT transmission: each UNH is one message, judged, decided and answered by itself.

*Strategy.* An interchange that is wrong as a whole is rejected by a CONTRL and nothing of it is done; of any other one
every message with an error of its own is named in the CONTRL and left out, and each of the rest goes the way of a NACCS
EDI message: its own savepoint, admission, decision. There is no password: who may send is told by the partner's ids and
by the sender address, which has to be registered to the partner's user. Whatever one transmission did is committed
together with its answers, by the clerk.

Unspecified: our choice, all of it that a partner's profile does not say (docs/edifact.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import structlog

from sekisho.codecs.edifact import Finding, Interchange, Level, Message, Profile, Report, read
from sekisho.codecs.edifact.contrl import NotAnswerable, contrl_message
from sekisho.codecs.edifact.writer import OutgoingMessage
from sekisho.codecs.envelope import Envelope
from sekisho.codecs.header import BODY_START, build_reply_header
from sekisho.codecs.message import Catalogue
from sekisho.codecs.results import Refusal, ResultCode
from sekisho.gateway.addressing import Addressee, Addressing
from sekisho.gateway.admission import Admission
from sekisho.gateway.clock import Clock, from_us, to_us
from sekisho.gateway.context import Contexts
from sekisho.gateway.directory import Directory
from sekisho.gateway.edifact_replies import Answered, answer_message, document_of, interchange_of_ours, kept, value_of
from sekisho.gateway.outbox import Processed, put_letter
from sekisho.gateway.partners import ANSWERS, Partner, Partners, opening_of
from sekisho.handlers import EDIFACT, Handler, Outcome, Output
from sekisho.handlers.plain import answer
from sekisho.mailboxes.letters import Account, Dispatch, Event, RequestState
from sekisho.mailboxes.store import Unit

__all__ = ["SENT", "TAKEN", "InterchangeWay", "forget_references"]

log = structlog.get_logger("sekisho.interchange")
TAKEN: Final = "edifact-taken"
"""Kind of the records that remember which interchanges were taken: ``sender|recipient|0020``."""
SENT: Final = "edifact-sent"
"""Kind of the records that find our letters by partner and our 0020, for their acknowledgement."""
_ERRORS_MOST: Final = 5_000
"""Errors of a transmission that are listed; with more it is rejected as a whole."""
_NORMAL_END: Final = str(ResultCode("00000"))
_STRANGER: Final = Profile(senders=frozenset({""}), validate=False)
"""How the interchange of nobody known is read: its sender is what is wrong."""


@dataclass(slots=True)
class _Run:
    """One transmission on its way. ``part`` counts its letters."""

    number: int
    envelope: Envelope
    unit: Unit
    now_us: int
    done: Processed
    part: int = 0
    quarantined: bool = False


@dataclass(slots=True)
class _Judged:
    """One interchange with what is wrong in it, and whose it is; ``barred`` says why nobody is behind it."""

    interchange: Interchange
    errors: list[Finding]
    partner: Partner | None = None
    account: Account | None = None
    barred: str = ""
    left_out: bool = False
    answered: list[Answered] = field(default_factory=list)

    @property
    def rejected(self) -> bool:
        """Whether it is wrong as a whole."""
        return any(error.level is Level.INTERCHANGE for error in self.errors)

    def takes(self, message: Message) -> bool:
        """Whether a message, and the group it is in, are free of errors."""
        groups = {error.group for error in self.errors if error.level is Level.GROUP}
        return message.valid and (message.group is None or message.group not in groups)


class InterchangeWay:
    """The way of a transmission. ``handler_of`` gives the handler of a business code, for its hours."""

    def __init__(
        self,
        *,
        partners: Partners,
        catalogue: Catalogue,
        directory: Directory,
        addressing: Addressing,
        admission: Admission,
        contexts: Contexts,
        clock: Clock,
        handler_of: Callable[[str], Handler | None],
    ) -> None:
        self._partners = partners
        self._catalogue = catalogue
        self._directory = directory
        self._addressing = addressing
        self._admission = admission
        self._contexts = contexts
        self._clock = clock
        self._handler_of = handler_of

    def process(self, number: int, envelope: Envelope, unit: Unit) -> Processed:
        """Run one journalled transmission. Raises nothing for bad content."""
        now_us = self._clock.us()
        run = _Run(number, envelope, unit, now_us, Processed("", ""))
        for judged in self._judged(run):
            self._take(run, judged)
        done = run.done
        unit.finish(number, state=RequestState.DONE, result=done.result or _NORMAL_END, key=done.key, at=now_us)
        done.result = done.result or _NORMAL_END
        return done

    # Reading -----------------------------------------------------------------------------------------------------

    def _judged(self, run: _Run) -> Iterator[_Judged]:
        """The interchanges, each by the profile of its own sender."""
        content = run.envelope.content
        whole, report = self._read(run, content)
        if not report.interchanges:
            run.done.result = run.done.result or f"EDIFACT-{report.errors[0].code}"
            self._hold(run, run.done.result)
            return
        if len(report.interchanges) == 1:
            yield self._of(whole, report)
            return
        starts = [one.offset for one in report.interchanges]
        for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
            one, report = self._read(run, content[start:end])
            yield self._of(one, report)

    def _read(self, run: _Run, content: bytes) -> tuple[tuple[Partner, Account] | str, Report]:
        known = self._known(run, content)
        profile = _STRANGER if isinstance(known, str) else self._profile(run, known[0])
        report = read(content, profile, _ERRORS_MOST, keep=True)
        run.done.findings += len(report.findings)
        return known, report

    def _of(self, known: tuple[Partner, Account] | str, report: Report) -> _Judged:
        interchange = report.interchanges[0]
        errors = list(report.errors)
        if report.error_count > len(errors):
            text = f"more than {_ERRORS_MOST} errors; nothing was taken"
            errors.insert(0, Finding("18", Level.INTERCHANGE, interchange.number, interchange.offset, text))
        if isinstance(known, str):
            return _Judged(interchange, errors, barred=known)
        return _Judged(interchange, errors, *known)

    def _known(self, run: _Run, content: bytes) -> tuple[Partner, Account] | str:
        """Whose interchange it is, or the code of why it is nobody's (A0003, A0013)."""
        opening = opening_of(content)
        partner = self._partners.find(opening.sender, opening.qualifier)
        account = self._directory.account(run.unit, partner.user) if partner is not None else None
        if partner is None or account is None:
            return "A0003"
        names = [name for name in (run.envelope.sender, run.envelope.principal) if name]
        owners = [self._directory.owners(run.unit, name) for name in names]
        if not any(owner[:5] == account.user_code for those in owners for owner in those):
            return "A0013"
        if any(those and not any(owner[:5] == account.user_code for owner in those) for those in owners):
            return "A0013"
        return partner, account

    def _profile(self, run: _Run, partner: Partner) -> Profile:
        profile = partner.profile(EDIFACT)
        if not partner.duplicates or run.envelope.parent is not None:
            return profile

        def seen(*key: str) -> bool:
            return run.unit.record(TAKEN, kept("|".join(key))) is not None

        return replace(profile, seen=seen)

    # One interchange ---------------------------------------------------------------------------------------------

    def _take(self, run: _Run, judged: _Judged) -> None:
        interchange, partner, account = judged.interchange, judged.partner, judged.account
        if judged.errors and not run.done.result:
            run.done.result = judged.barred or f"EDIFACT-{judged.errors[0].code}"
        if partner is None or account is None:
            self._bar(run, judged)
            return
        if not judged.rejected:
            parties = (interchange.sender[:1], interchange.recipient[:1], (interchange.reference,))
            key = kept("|".join(one[0] if one else "" for one in parties))
            run.unit.put_record(TAKEN, key, {"request": run.number, "at": run.now_us}, run.now_us)
            for message in interchange.listed:
                if not judged.takes(message):
                    continue
                if message.type in ANSWERS:
                    self._acknowledged(run, partner, account, message)
                else:
                    judged.answered.append(self._message(run, message, partner, account))
        self._log(run, judged)
        told = self._contrl(run, judged, partner, account)
        if judged.errors and not told:
            self._hold(run, run.done.result)
        for kind in ("APERAK", "CUSRES"):
            ours = [
                one for one in judged.answered if kind == (partner.reject_with if one.refused else partner.accept_with)
            ]
            if ours:
                self._answer(run, kind, ours, interchange, partner, account)

    def _log(self, run: _Run, judged: _Judged) -> None:
        interchange = judged.interchange
        log.info(
            "interchange.judged",
            request=run.number,
            partner=judged.partner.name if judged.partner is not None else "",
            reference=kept(interchange.reference),
            messages=interchange.messages,
            taken=sum(not one.refused for one in judged.answered),
            refused=sum(one.refused for one in judged.answered),
            errors=" ".join(dict.fromkeys(error.code for error in judged.errors)),
        )

    def _bar(self, run: _Run, judged: _Judged) -> None:
        """Nobody's interchange: a CONTRL to the box whose address sent it, else nobody is told (no backscatter)."""
        self._log(run, judged)
        run.done.result = judged.barred
        self._hold(run, judged.barred)
        sender = run.envelope.sender
        box = self._directory.box_of_address(run.unit, sender) if sender else None
        if box is None:
            return
        owner = next(iter(self._directory.owners(run.unit, sender)), "")
        own = str(run.unit.next_number(f"edifact box {box.id}"))
        self._syntax(run, judged, Addressee(box, owner, "Q"), None, own)

    # One message -------------------------------------------------------------------------------------------------

    def _message(self, run: _Run, message: Message, partner: Partner, account: Account) -> Answered:
        """One message in its own savepoint; a refusal undoes it, an exception too and becomes A0007."""
        code = partner.business_code(message.type, value_of(message, "BGM", 0))
        unit, document = run.unit, kept(document_of(message))
        decided = False
        try:
            with unit.savepoint():
                self._admit(run, account, code)
                decided = True
                context = self._contexts.make(
                    unit, account, run.number, run.now_us, business_code=code, aviation=partner.aviation
                )
                outcome = EDIFACT[message.type].decide(message, context)
                letters, part = self._outputs(run, outcome, account, code)
            run.done.letters += letters
            run.part = part
            run.done.again += outcome.resend
            run.done.key = run.done.key or kept(outcome.key) or document
            return Answered(message, code, outcome.key, outcome.results)
        except Refusal as refusal:
            results = refusal.results or (ResultCode("A0007"),)
            stage, key = refusal.stage, refusal.key
        except Exception:
            log.exception("message.failed", request=run.number, business_code=code, message=message.number)
            results, stage, key = (ResultCode("A0007"),), "handler", ""
        if decided:
            self._directory.forget()  # the handler may have written to an account that is now undone
        done = run.done
        done.key = done.key or kept(key) or document
        done.errors += results
        if not done.result:
            done.result, done.stage = str(results[0]), stage
        return Answered(message, code, key, results, refused=True)

    def _admit(self, run: _Run, account: Account, code: str) -> None:
        """The steps of a NACCS EDI message that need no header: service, state, business, hours, right."""
        step, unit, now_us = self._admission, run.unit, run.now_us
        step.service(unit, now_us)
        if not code:
            raise Refusal([ResultCode("A0001")], "business")
        handler = self._handler_of(code) or Handler(code, answer)
        step.state(account, handler)
        step.business(unit, code, handler, now_us)
        step.right(account, code)

    def _outputs(self, run: _Run, outcome: Outcome, account: Account, code: str) -> tuple[list[Dispatch], int]:
        """What the business sends to others, in the form of NACCS EDI; the tags of an interchange are blank."""
        done, part = Processed("", ""), run.part
        received = f"{from_us(to_us(run.envelope.received_at)):%Y%m%d%H%M}"
        for output in outcome.outputs:
            layout = self._catalogue.get(output.layout or output.code.rstrip())
            layout = layout or self._catalogue.get(f"{output.code.rstrip()}.out")
            if layout is None:
                raise KeyError(f"no table {output.layout or output.code}")
            subject = outcome.key if output.subject is None else output.subject

            body = layout.encode(output.values)
            for to in self._addressing.all_of(run.unit, output.to, account, output.code.rstrip()):
                put_letter(
                    run.unit,
                    done,
                    to,
                    partial(_with_header, output=output, body=body, subject=subject, at=received),
                    number=run.number,
                    part=part,
                    business_code=code,
                    output_code=output.code,
                    kind=output.kind,
                    subject=subject,
                    now_us=run.now_us,
                )
                part += 1
        return done.letters, part

    def _acknowledged(self, run: _Run, partner: Partner, account: Account, message: Message) -> None:
        """A CONTRL or APERAK about an interchange of ours: kept, noted in the audit trail, never answered."""
        if message.type == "CONTRL":
            reference = value_of(message, "UCI", 0)
            verdict = " ".join(filter(None, (value_of(message, "UCI", 3), value_of(message, "UCI", 4))))
        else:
            named = next((one.get(0, 1) for one in message.segments if one.tag == "RFF"), "")
            reference, verdict = named.partition("-")[0], value_of(message, "BGM", 3)
        sent = run.unit.record(SENT, kept(f"{partner.name}|{reference}"))
        letter = sent.get("letter") if sent is not None else None
        detail = kept(f"{message.type} {reference} {verdict}".rstrip())
        run.unit.add_event(Event(run.now_us, account.id, "interchange.acknowledged", run.number, letter, detail))
        log.info("interchange.acknowledged", request=run.number, letter=letter, partner=partner.name, detail=detail)

    # Answers -----------------------------------------------------------------------------------------------------

    def _contrl(self, run: _Run, judged: _Judged, partner: Partner, account: Account) -> bool:
        """The CONTRL that the profile asks for; whether one was sent."""
        asked = judged.interchange.asks_for_acknowledgement
        wanted = {
            "always": True,
            "on-error": bool(judged.errors) or asked,
            "on-request": asked,
            "never": False,
        }[partner.contrl]
        if not wanted:
            return False
        to = self._addressing.reply(run.unit, account, "CONTRL")
        return self._syntax(run, judged, to, partner, _next_reference(run.unit, partner))

    def _syntax(self, run: _Run, judged: _Judged, to: Addressee | None, partner: Partner | None, own: str) -> bool:
        """Send the CONTRL of an interchange, be it good or bad; False where none can be made."""
        try:
            message = contrl_message(judged.interchange, judged.errors, reference="1")
        except NotAnswerable:
            return False
        return self._send(run, "CONTRL", [message], judged.interchange, partner, to, own)

    def _answer(
        self,
        run: _Run,
        kind: str,
        answered: Sequence[Answered],
        interchange: Interchange,
        partner: Partner,
        account: Account,
    ) -> None:
        own = _next_reference(run.unit, partner)
        now = from_us(run.now_us)
        messages = [
            answer_message(one, interchange, partner, kind, own=own, place=place, now=now)
            for place, one in enumerate(answered, 1)
        ]
        to = self._addressing.reply(run.unit, account, kind)
        code = answered[0].business_code
        self._send(run, kind, messages, interchange, partner, to, own, business_code=code)

    def _send(
        self,
        run: _Run,
        kind: str,
        messages: Sequence[OutgoingMessage],
        interchange: Interchange,
        partner: Partner | None,
        to: Addressee | None,
        own: str,
        *,
        business_code: str = "",
    ) -> bool:
        """One interchange of ours, ``own`` its 0020, into a box; whether somebody has it."""
        try:
            content = interchange_of_ours(messages, interchange, partner, own=own, now=from_us(run.now_us))
        except ValueError as error:
            # What has to be copied cannot be written: nobody can be told, so operators are.
            log.warning("interchange.unanswerable", request=run.number, kind=kind, error=str(error))
            self._hold(run, run.done.result or "A0007")
            return False
        letter = put_letter(
            run.unit,
            run.done,
            to,
            lambda _: content,
            number=run.number,
            part=run.part,
            business_code=business_code,
            output_code=kind,
            kind="",
            subject=kept(interchange.reference),
            now_us=run.now_us,
        )
        run.part += 1
        if letter and partner is not None:
            data = {"letter": letter, "request": run.number, "type": kind, "at": run.now_us}
            run.unit.put_record(SENT, f"{partner.name}|{own}", data, run.now_us)
        return letter != 0

    def _hold(self, run: _Run, reason: str) -> None:
        """Show the transmission to operators, once."""
        if not run.quarantined:
            run.unit.quarantine(run.number, reason, run.now_us)
            run.quarantined = True


def _with_header(to: Addressee, *, output: Output, body: bytes, subject: str, at: str) -> bytes:
    head = build_reply_header(
        b"",
        output_code=output.code.ljust(7),
        received_at=at,
        user_code=to.user[:5],
        mail_address=to.box.address,
        subject=subject,
        kind=output.kind,
        form=to.form,
        length=BODY_START + len(body),
        echo=False,
        part="001",
    )
    return head + body


def forget_references(unit: Unit, kind: str, before: int, after: str, limit: int = 500) -> str:
    """Drop what is remembered of interchanges (``TAKEN`` or ``SENT``) from before that moment, ``limit`` looked at.

    Begins behind the key ``after``; gives the last key looked at, empty when there is nothing behind it.
    """
    found = unit.records(kind, limit, after)
    for key, data in found:
        if data["at"] < before:
            unit.delete_record(kind, key)
    return found[-1][0] if len(found) == limit else ""


def _next_reference(unit: Unit, partner: Partner) -> str:
    """Our next interchange reference to a partner."""
    return str(unit.next_number(f"edifact {partner.name}"))
