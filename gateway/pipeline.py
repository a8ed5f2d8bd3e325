"""The way of one message, from the journal to its letters.

*Strategy.* :meth:`Pipeline.process` is the sequence of the house page in its order, and holds the only ``try`` on the
way: a :class:`Refusal` undoes what the message did and becomes its notice; any other exception undoes it too, is
logged with its traceback and becomes A0007. It runs inside the clerk's transaction and only changes that; the world
hears of it after the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from sekisho.codecs import charset
from sekisho.codecs.envelope import Envelope
from sekisho.codecs.header import BODY_START, MESSAGE_MOST, Header, build_reply_header
from sekisho.codecs.layout import Layout
from sekisho.codecs.message import Catalogue, Message
from sekisho.codecs.mime import is_interchange
from sekisho.codecs.reading import read_body
from sekisho.codecs.results import Deviation, Refusal, ResultCode, result_block
from sekisho.gateway.addressing import Addressee, Addressing
from sekisho.gateway.admission import Admission, PasswordUnknown
from sekisho.gateway.clock import Clock, from_us, to_us
from sekisho.gateway.context import Contexts
from sekisho.gateway.directory import Directory
from sekisho.gateway.examinations import ExaminationRule
from sekisho.gateway.intake import reopened
from sekisho.gateway.interchange import InterchangeWay
from sekisho.gateway.outbox import Processed, put_letter
from sekisho.gateway.partners import Partners
from sekisho.gateway.passwords import Passwords
from sekisho.gateway.steps import StepWay
from sekisho.handlers import Handler, Originator, Outcome, Output, find, key_item, system_letter
from sekisho.handlers.kit import single_items
from sekisho.mailboxes.letters import Account, RequestState
from sekisho.mailboxes.store import StoreError, Unit

__all__ = ["OPERATOR", "Pipeline", "Processed"]

log = structlog.get_logger("sekisho.pipeline")
_NOTICE_PART = 0
_REMEMBERED: Final = 1000
"""Codes whose handlers and notices are remembered: strangers' invented ones must not fill memory."""
OPERATOR: Final = "operator"
"""The transport of requests that an operator enters on this machine; no listener may have this name."""


@dataclass(slots=True)
class _Way:
    """What is known of a message so far; a refusal is answered with as much as there is."""

    number: int
    envelope: Envelope
    header: Header
    received: str
    account: Account | None = None
    handler: Handler | None = None
    message: Message | None = None
    findings: list[Deviation] = field(default_factory=list)
    decided: bool = False
    """The handler has been called, so it may have written."""


class Pipeline:
    """The way of a message. One object serves one clerk; it is not meant for several threads at once."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        directory: Directory,
        addressing: Addressing,
        admission: Admission,
        passwords: Passwords,
        clock: Clock,
        environment: str,
        number_text: Callable[[str, int], str],
        generation: int = 7,
        modules: tuple[str, ...] = (),
        business: Mapping[str, Any] | None = None,
        message_bytes: int = MESSAGE_MOST,
        partners: Partners | None = None,
        examinations: Sequence[ExaminationRule] = (),
    ) -> None:
        self._catalogue = catalogue
        self._directory = directory
        self._addressing = addressing
        self._admission = admission
        self._clock = clock
        self._generation = generation
        self._modules = modules
        self._contexts = Contexts(
            directory=directory,
            passwords=passwords,
            environment=environment,
            number_text=number_text,
            catalogue=catalogue,
            business=business or {},
            examinations=examinations,
        )
        self._message_bytes = message_bytes
        self._handlers: dict[str, Handler | None] = {}
        self._notice_codes: dict[tuple[str, str], str] = {}
        self._interchanges = InterchangeWay(
            partners=partners or Partners(),
            catalogue=catalogue,
            directory=directory,
            addressing=addressing,
            admission=admission,
            contexts=self._contexts,
            clock=clock,
            handler_of=self.handler,
        )
        self._minute = (0, "")

        self.steps = StepWay(
            catalogue=catalogue, directory=directory, addressing=addressing, contexts=self._contexts
        )

    def handler(self, business_code: str) -> Handler | None:
        """The handler of a business code, remembered."""
        if business_code not in self._handlers:
            if len(self._handlers) > _REMEMBERED:
                self._handlers.clear()
            self._handlers[business_code] = find(business_code, self._modules, self._generation)
        return self._handlers[business_code]

    def process(self, number: int, envelope: Envelope, unit: Unit, *, busy: bool = False) -> Processed:
        """Run one journalled request; an EDIFACT transmission has a way of its own. ``busy``: answer A0011 instead.

        Raises only :class:`PasswordUnknown`, with nothing changed.
        """
        if is_interchange(envelope.content):
            return self._interchanges.process(number, envelope, unit)
        now_us = self._clock.us()
        way = _Way(number, envelope, Header(envelope.content), self._minute_of(to_us(envelope.received_at)))
        try:
            with unit.savepoint():
                self._admit(way, unit, now_us, busy=busy)
                self._read(way)
                outcome = self._decide(way, unit, now_us)
                done = self._write(way, outcome, unit, now_us)
        except PasswordUnknown:
            raise
        except Refusal as refusal:
            if way.decided:
                self._directory.forget()  # the handler may have written to an account that is now undone
            done = self._refused(way, refusal, unit, now_us)
        except Exception:
            self._directory.forget()
            log.exception("message.failed", request=number, business_code=way.header.business_code)
            done = self._refused(way, Refusal([ResultCode("A0007")], "handler"), unit, now_us)
        unit.finish(number, state=RequestState.DONE, result=done.result, key=done.key, at=now_us)
        return done

    def _minute_of(self, moment_us: int) -> str:
        """電文受信日時, YYYYMMDDhhmm in Japan time; written once a minute."""
        minute = moment_us // 60_000_000
        if self._minute[0] != minute:
            self._minute = (minute, f"{from_us(moment_us):%Y%m%d%H%M}")
        return self._minute[1]

    # 2 to 4: header, user, business ------------------------------------------------------------------------------

    def _admit(self, way: _Way, unit: Unit, now_us: int, *, busy: bool) -> None:
        step, header = self._admission, way.header
        way.account = self._directory.account(unit, header.user_id)
        way.findings = step.header(way.envelope, way.account)
        step.service(unit, now_us, busy=busy)
        account = way.account = step.user(unit, header, way.envelope)
        if way.envelope.transport != OPERATOR:  # an operator has been let in by the machine itself
            step.password(account, header)
        way.handler = self.handler(header.business_code)
        step.state(account, way.handler)
        way.handler = step.business(unit, header.business_code, way.handler, now_us)
        step.right(account, header.business_code)

    # 5: body -----------------------------------------------------------------------------------------------------

    def _read(self, way: _Way) -> None:
        content, header, account = way.envelope.content, way.header, way.account
        if len(content) > self._message_bytes:
            raise Refusal([ResultCode("E0001")], "length")
        if way.envelope.faults:
            raise Refusal(way.envelope.faults, "attachments")
        body = content[BODY_START:]
        if header.length.isdigit() and int(header.length) == len(content) - 2 and content.endswith(b"\r\n"):
            body = body[:-2]  # one CRLF after the end; the header's finding says so
        layout = self._catalogue.request(header.business_code, len(body))
        if layout is None:
            raise Refusal([ResultCode("A0001")], "business")
        record, findings, errors = read_body(layout, body)
        if account is not None and account.strict:
            errors = sorted([*errors, *findings], key=lambda error: error.offset)
        way.findings = way.findings + findings
        way.message = Message(content, header, layout, record, tuple(way.findings), tuple(errors))
        if way.handler is None:  # admission would have refused
            raise Refusal([ResultCode("A0001")], "business")
        results = single_items(way.handler, way.message, self._catalogue)
        if results:
            raise Refusal(results, "items")

    # 6: the business ---------------------------------------------------------------------------------------------

    def _decide(self, way: _Way, unit: Unit, now_us: int) -> Outcome:
        account, handler, message = way.account, way.handler, way.message
        if account is None or handler is None or message is None:  # the steps before would have refused
            raise Refusal([ResultCode("A0007")], "handler")
        way.decided = True
        context = self._contexts.make(unit, account, way.number, now_us, files=way.envelope.attachments)
        return handler.decide(message, context)

    # 7 and 8: notice, letters ------------------------------------------------------------------------------------

    def _write(self, way: _Way, outcome: Outcome, unit: Unit, now_us: int) -> Processed:
        account = way.account
        if account is None:
            raise Refusal([ResultCode("A0003")], "user")
        first = str(outcome.results[0]) if outcome.results else str(ResultCode("00000"))
        done = Processed(first, outcome.key, again=outcome.resend, findings=len(way.findings))
        part = _NOTICE_PART
        if outcome.notice:
            code = self._notice_code(way)
            body = self._notice_body(outcome)
            to = self._addressing.reply(unit, account, code.rstrip())
            self._put(way, unit, done, part, code, "R", to, f"{first} {outcome.key}".rstrip(), body, now_us)
        for output in outcome.outputs:
            code = output.code.ljust(7)
            subject = outcome.key if output.subject is None else output.subject
            tags = _tags_of(unit, output.to.request) if isinstance(output.to, Originator) else None
            body = self._body(output)
            for to in self._addressing.all_of(unit, output.to, account, output.code.rstrip()):
                part += 1
                to_ = to._replace(form="K") if to is not None and output.text else to
                self._put(way, unit, done, part, code, output.kind, to_, subject, body, now_us, tags)
        return done

    def _refused(self, way: _Way, refusal: Refusal, unit: Unit, now_us: int) -> Processed:
        """The notice of a refusal, to whoever may be told; what nobody may be told of lies in quarantine."""
        key = refusal.key or self._key(way)
        named = refusal.results or (ResultCode("A0007"),)  # a handler that refuses without saying why is at fault
        first = str(named[0])
        done = Processed(first, key, errors=named, stage=refusal.stage, findings=len(way.findings))
        code = self._notice_code(way)
        to = self._told(way, named[0].code, refusal.stage, unit, code.rstrip())
        results = result_block(named)
        if to is None or named[0].code in ("A0003", "A0005"):
            unit.quarantine(way.number, named[0].code, now_us)
        if to is not None:
            body = f"{results}\r\n{key:<11}\r\n" if key else f"{results}\r\n"
            self._put(way, unit, done, _NOTICE_PART, code, "R", to, f"{first} {key}".rstrip(), body.encode(), now_us)
        return done

    def _told(self, way: _Way, result: str, stage: str, unit: Unit, code: str) -> Addressee | None:
        """Who hears of a refusal (decisions, "Order of checks").

        The header's user; where the link is somebody else's (A0013) or the user is unknown, the box that the transport
        has let in, else the one whose address sent the mail; never an unregistered address.
        """
        account = way.account
        if account is not None and result != "A0013":
            return self._addressing.reply(unit, account, code)
        if account is None and stage == "header":
            return None
        box = self._directory.box(unit, way.envelope.principal) if way.envelope.principal else None
        if box is None and way.envelope.sender:
            box = self._directory.box_of_address(unit, way.envelope.sender)
        if box is not None:
            return Addressee(box, way.header.user_id, "Q")
        return self._addressing.reply(unit, account, code) if account is not None else None

    def _key(self, way: _Way) -> str:
        """The key that a refused request named, as far as it was read."""
        message = way.message
        if message is None or message.layout is None or message.record is None:
            return ""
        layout = self._catalogue.request(way.header.business_code) or message.layout
        item = key_item(layout)
        key = message.record.text(item) if item and item in message.layout else ""
        return key if key.isascii() and key.isprintable() and len(key) <= 11 else ""

    def _notice_code(self, way: _Way) -> str:
        """``*`` + system letter + business code; ``*CCMSG `` where the failure belongs to no business."""
        code, system = way.header.business_code, way.header.system
        known = self._notice_codes.get((code, system))
        if known is not None:
            return known
        if not code or not code.isascii() or not code.isalnum() or self.handler(code) is None:
            return "*CCMSG "
        if len(self._notice_codes) > _REMEMBERED:
            self._notice_codes.clear()
        notice = self._notice_codes[code, system] = f"*{system_letter(code, system, self._modules)}{code:<5}"
        return notice

    def _notice_body(self, outcome: Outcome) -> bytes:
        if outcome.notice_layout:
            return self._table(outcome.notice_layout).encode(outcome.notice_values)
        results = result_block(outcome.results)
        return (f"{results}\r\n{outcome.key:<11}\r\n" if outcome.key else f"{results}\r\n").encode("ascii")

    def _body(self, output: Output) -> bytes:
        if output.text:
            return charset.encode(output.text)
        return self._table(output.layout or output.code.rstrip()).encode(output.values)

    def _table(self, name: str) -> Layout:
        layout = self._catalogue.get(name) or self._catalogue.get(f"{name}.out")
        if layout is None:
            raise KeyError(f"no table {name}")
        return layout

    def _put(
        self,
        way: _Way,
        unit: Unit,
        done: Processed,
        part: int,
        code: str,
        kind: str,
        to: Addressee | None,
        subject: str,
        body: bytes,
        now_us: int,
        tags: bytes | None = None,
    ) -> None:
        """One output into its box; with a push door it is due at once. ``tags``: the message whose tags it carries."""
        notice = kind == "R"

        def content(to: Addressee) -> bytes:
            head = build_reply_header(
                way.envelope.content if tags is None else tags,
                output_code=code,
                received_at=way.received,
                user_code=to.user[:5],
                mail_address=to.box.address,
                subject=subject,
                kind=kind,
                form=to.form,
                length=BODY_START + len(body),
                echo=to.form != "C",
                part="000" if notice else "001",
            )
            return head + body

        put_letter(
            unit,
            done,
            to,
            content,
            number=way.number,
            part=part,
            business_code=way.header.business_code,
            output_code=code,
            kind=kind,
            subject=subject,
            now_us=now_us,
        )


def _tags_of(unit: Unit, request: int) -> bytes:
    """The message of an earlier request, for EXZ outputs carry its tags (wire reference 2.4); empty if it is gone."""
    try:
        return reopened(unit, request).content
    except (LookupError, StoreError):
        return b""
