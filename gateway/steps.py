"""The way of one scheduled step: what a business does later, by itself.

*Strategy.* The same as a message's way without its beginning: one ``try``, the handler's step decides, its outputs go
into boxes. Their letters belong to the request that scheduled the step (its tags, its thread), numbered after those it
has. A step that fails changes nothing and is not tried again: operators find it in the audit trail.
"""

from __future__ import annotations

import structlog

from sekisho.codecs import charset
from sekisho.codecs.header import BODY_START, build_reply_header
from sekisho.codecs.layout import Layout
from sekisho.codecs.message import Catalogue
from sekisho.codecs.results import Refusal
from sekisho.gateway.addressing import Addressee, Addressing
from sekisho.gateway.clock import from_us
from sekisho.gateway.context import Contexts
from sekisho.gateway.directory import Directory
from sekisho.gateway.intake import reopened
from sekisho.gateway.outbox import Processed, put_letter
from sekisho.handlers.kit import STEPS, Originator, Output, Party, Sender
from sekisho.mailboxes.letters import Account, Event, Timer
from sekisho.mailboxes.store import StoreError, Unit

__all__ = ["StepWay"]

log = structlog.get_logger("sekisho.steps")


class StepWay:
    """Runs steps inside the clerk's transaction."""

    def __init__(
        self, *, catalogue: Catalogue, directory: Directory, addressing: Addressing, contexts: Contexts
    ) -> None:
        self._catalogue, self._directory = catalogue, directory
        self._addressing, self._contexts = addressing, contexts

    def run(self, timer: Timer, unit: Unit) -> Processed:
        """Take a due step and run it at the moment it was due. Never raises for what a step does."""
        done = Processed("", timer.key)
        if not unit.take_timer(timer.number):
            return done
        user_id, request = str(timer.data.get("user", "")), int(timer.data.get("request", 0))
        try:
            with unit.savepoint():
                self._run(timer, user_id, request, unit, done)
        except Exception as error:
            self._directory.forget()
            text = " ".join(map(str, error.results)) if isinstance(error, Refusal) else type(error).__name__
            if isinstance(error, Refusal):
                log.warning("step.refused", step=timer.kind, key=timer.key, results=text)
            else:
                log.exception("step.failed", step=timer.kind, key=timer.key)
            done = Processed("", timer.key)
            known = request if unit.request(request) is not None else None
            unit.add_event(Event(timer.due_at, "schedule", "step.failed", known, None, f"{timer.kind} {text}"))
        return done

    def _run(self, timer: Timer, user_id: str, request: int, unit: Unit, done: Processed) -> None:
        decide = STEPS.get(timer.kind)
        if decide is None:
            raise LookupError(timer.kind)
        account = self._directory.account(unit, user_id) or Account(user_id, "")
        context = self._contexts.make(unit, account, request, timer.due_at)
        outcome = decide(timer.key, timer.data.get("data", {}), context)
        part = max((letter.part for letter in unit.letters_of(request)), default=-1)
        for output in outcome.outputs:
            to = Originator(account.id, request) if isinstance(output.to, Sender) else output.to
            for addressee in self._addressing.all_of(unit, to, account, output.code.rstrip()):
                part += 1
                self._put(output, addressee, to, outcome.key, request, part, timer, unit, done)
        detail = f"{timer.kind} {timer.key}"
        unit.add_event(Event(timer.due_at, "schedule", "step.run", request, None, detail))
        log.info("step.run", step=timer.kind, key=timer.key, letters=len(outcome.outputs))

    def _put(
        self,
        output: Output,
        addressee: Addressee | None,
        to: Originator | Party,
        key: str,
        request: int,
        part: int,
        timer: Timer,
        unit: Unit,
        done: Processed,
    ) -> None:
        table = output.layout or output.code.rstrip()
        body = charset.encode(output.text) if output.text else self._table(table).encode(output.values)
        subject = key if output.subject is None else output.subject
        try:
            tags = reopened(unit, to.request if isinstance(to, Originator) else request)
            tagged, business_code = tags.content, _business_code(unit, request)
        except (LookupError, StoreError):
            tagged, business_code = b"", ""

        def content(addressee: Addressee) -> bytes:
            head = build_reply_header(
                tagged,
                output_code=output.code.ljust(7),
                received_at=f"{from_us(timer.due_at):%Y%m%d%H%M}",
                user_code=addressee.user[:5],
                mail_address=addressee.box.address,
                subject=subject,
                kind=output.kind,
                form="K" if output.text else addressee.form,
                length=BODY_START + len(body),
                echo=addressee.form != "C",
                part="001",
            )
            return head + body

        put_letter(
            unit,
            done,
            addressee,
            content,
            number=request,
            part=part,
            business_code=business_code,
            output_code=output.code.ljust(7),
            kind=output.kind,
            subject=subject,
            now_us=timer.due_at,
        )

    def _table(self, name: str) -> Layout:
        layout = self._catalogue.get(name) or self._catalogue.get(f"{name}.out")
        if layout is None:
            raise KeyError(f"no table {name}")
        return layout


def _business_code(unit: Unit, request: int) -> str:
    found = unit.request(request)
    return found.business_code if found is not None else ""
