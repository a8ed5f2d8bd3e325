"""Putting replies into boxes, and what is known of a request when that is done.

*Strategy.* Everything that answers writes its letters here, so that what has no box is treated alike everywhere: it
goes to the operators and into the audit trail, never nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from sekisho.codecs.results import ResultCode
from sekisho.gateway.addressing import Addressee
from sekisho.mailboxes.letters import Dispatch, Event, NewLetter
from sekisho.mailboxes.store import Unit

__all__ = ["Processed", "put_letter"]

log = structlog.get_logger("sekisho.outbox")


@dataclass(slots=True)
class Processed:
    """What became of one request: its first result code, its key, and the letters to send once this is committed.

    ``again`` are letters to be delivered again after these; ``errors`` every result code, also beyond the five that the
    notice holds; ``stage`` where it was refused.
    """

    result: str
    key: str
    letters: list[Dispatch] = field(default_factory=list)
    again: tuple[int, ...] = ()
    errors: tuple[ResultCode, ...] = ()
    stage: str = ""
    findings: int = 0


def put_letter(
    unit: Unit,
    done: Processed,
    to: Addressee | None,
    content: Callable[[Addressee], bytes],
    *,
    number: int,
    part: int,
    business_code: str,
    output_code: str,
    kind: str,
    subject: str,
    now_us: int,
) -> int:
    """One output of request ``number`` into its box; with a push door it is due at once and added to ``done``.

    ``content`` is called with the addressee if there is one. Gives the letter's number, 0 if nobody has a box for it.
    """
    if to is None:
        unit.add_event(Event(now_us, "addressing", "output.unaddressed", number, None, output_code))
        log.warning("output.unaddressed", request=number, output_code=output_code)
        return 0
    if to.stray:
        detail = f"{output_code} for {to.user}"
        unit.add_event(Event(now_us, "addressing", "output.strayed", number, None, detail))
        log.warning("output.strayed", request=number, output_code=output_code, user=to.user)
    data = content(to)
    due = now_us if to.box.pushes else None
    code = business_code if business_code.isascii() else ""
    letter = NewLetter(
        number, part, to.box.id, to.user, code, output_code.rstrip(), kind, to.form, subject, data, now_us, due
    )
    stored = unit.add_letter(letter)
    if due is not None:
        done.letters.append(Dispatch(stored.number, to.box.id, stored.uid, stored.uid_validity, now_us, due, 0, data))
    return stored.number
