"""``sekisho clock``: the gateway's clock, and in a test environment the moving of it."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Final

import click

from sekisho.gateway.cli_store import Opened, japan, with_store, writing
from sekisho.gateway.cli_text import SetupFailed, echo_json
from sekisho.gateway.clock import JAPAN, to_us
from sekisho.gateway.schedule import CLOCK

__all__ = ["clock"]

_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_UNITS: Final = (86_400, 3_600, 60, 1)
_WAIT: Final = 15.0
"""Seconds a command waits for the gateway to have run everything that became due on the way."""


@click.group()
def clock() -> None:
    """The gateway's clock. It can be moved in a test environment only; what becomes due on the way happens in order."""


@clock.command("show")
@click.option("--json", "as_data", is_flag=True, help="Print JSON.")
@with_store
def show(there: Opened, *, as_data: bool) -> None:
    """Show the time, Japan time, and what is due next."""
    with there.store.view() as view:
        timers = view.timers(2**62, 1)
    form = {
        "now": japan(there.now()),
        "next": japan(timers[0].due_at) if timers else None,
        "step": timers[0].kind if timers else None,
        "key": timers[0].key if timers else None,
    }
    if as_data:
        echo_json(form)
        return
    click.echo(f"{form['now']} Japan time")
    click.echo(f"next: {form['next']} {form['step']} {form['key']}" if timers else "nothing is scheduled")


@clock.command("advance")
@click.argument("duration")
@with_store
def advance(there: Opened, duration: str) -> None:
    """Move it forwards by DURATION: 90m, 2h, 3d, 1h30m."""
    found = _DURATION.fullmatch(duration)
    if found is None or not any(found.groups()):
        raise SetupFailed(f'"{duration}"; a duration like 90m, 2h, 3d or 1h30m is expected')
    seconds = sum(int(count or 0) * unit for count, unit in zip(found.groups(), _UNITS, strict=True))
    _move(there, seconds * 1_000_000)


@clock.command("set")
@click.argument("moment", metavar="TIME")
@with_store
def set_to(there: Opened, moment: str) -> None:
    """Move it forwards to TIME: Japan time, YYYY-MM-DDTHH:MM[:SS]."""
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        raise SetupFailed(f'"{moment}"; a Japan time YYYY-MM-DDTHH:MM[:SS] is expected') from None
    by = to_us(at.replace(tzinfo=JAPAN)) - there.now()
    if by < 0:
        raise SetupFailed(
            f"{moment} is past: it is {japan(there.now())}; time only goes on, `sekisho clock reset` takes moves back"
        )
    _move(there, by)


@clock.command("reset")
@with_store
def reset(there: Opened) -> None:
    """Take every move back. What has happened stays; the gateway's clock shows what it would without moves."""
    _move(there, None)


def _move(there: Opened, by_us: int | None) -> None:
    if there.settings is not None and there.settings.gateway.environment == "production":
        raise SetupFailed("this is a production gateway: its clock is not moved")
    with writing(there, "clock.moved", "back" if by_us is None else f"{by_us // 1_000_000} s") as unit:
        now = unit.record(CLOCK, "wanted") or {"us": 0}
        wanted = 0 if by_us is None else int(now["us"]) + by_us
        unit.put_record(CLOCK, "wanted", {"us": wanted}, there.now())
    deadline = time.monotonic() + _WAIT
    while time.monotonic() < deadline:
        with there.store.view() as view:
            moved = view.record(CLOCK, "moved")
        if moved is not None and int(moved["us"]) == wanted:
            there.clock.follow(int(moved["shift"]))
            click.echo(f"{japan(there.now())} Japan time")
            return
        time.sleep(0.05)
    raise SetupFailed(
        f"no gateway took it up within {_WAIT:g} s: it counts from its next start (a production gateway never does)"
    )
