"""How a command finds and opens the store: by settings (``-c``) or by its folder (``--data``).

*Strategy.* A command works on the store itself, in its own process, beside a running gateway or without one; the
gateway sees a foreign commit before its next batch. A command makes no store: a mistyped folder is an error, not an
empty mailbox. Everything that a command changes goes into the audit trail as ``operator``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import click

from sekisho.codecs.message import Catalogue
from sekisho.gateway.cli_text import SetupFailed, Unacceptable
from sekisho.gateway.clock import Clock, from_us
from sekisho.gateway.settings import Settings, SettingsError, load
from sekisho.mailboxes import Conflict, Store, StoreError, Unit, UnknownSchema, open_store
from sekisho.mailboxes.letters import Event

__all__ = ["OPERATOR", "Opened", "japan", "load_settings", "opened", "with_store", "writing"]

OPERATOR: Final = "operator"
"""Who the audit trail says did it."""
_FILE: Final = "sekisho.db"

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Opened:
    """An open store. ``settings`` is None where only ``--data`` was given."""

    store: Store
    clock: Clock
    settings: Settings | None

    def now(self) -> int:
        """Now in microseconds since the epoch, by the settings' clock."""
        return self.clock.us()

    def catalogue(self) -> Catalogue:
        """The item tables of the settings' generation, own ones among them."""
        from sekisho.handlers.tables import catalogue  # noqa: PLC0415 - 100 tables, for the commands that decode

        if self.settings is None:
            return catalogue()
        return catalogue(self.settings.gateway.generation, tuple(self.settings.gateway.handlers))


def load_settings(config: str, data: str | None = None) -> Settings:
    """Settings from a file. Raises :class:`SetupFailed` with every problem, one a line."""
    try:
        return load(config, data)
    except SettingsError as error:
        raise SetupFailed(str(error)) from None


@contextmanager
def opened(config: str | None, data: str | None) -> Iterator[Opened]:
    """The store of a settings file or a folder, closed afterwards. Raises :class:`SetupFailed`."""
    if config is None and data is None:
        raise SetupFailed("which store? give -c SETTINGS or --data DIR (or set SEKISHO_CONFIG)")
    settings = load_settings(config, data) if config is not None else None
    if settings is not None and settings.store.url == "memory":
        raise SetupFailed(f'{config}: store.url = "memory" lives inside the running gateway only; use sqlite')
    folder = settings.data if settings is not None else Path(data or "")
    if not (folder / _FILE).is_file():
        raise SetupFailed(f"{folder}: no store there; `sekisho serve` or `sekisho db upgrade` makes one")
    from sekisho.gateway import events  # noqa: PLC0415 - structlog, for the store's own log

    events.configure(level="error")
    clock = Clock(settings.gateway.starts_at if settings is not None else None)
    try:
        store = open_store("sqlite", folder, clock.us)
    except UnknownSchema as error:
        raise SetupFailed(str(error)) from None
    except StoreError as error:
        raise SetupFailed(f"{folder}: {error}") from None
    try:
        with store.view() as view:
            moved = view.record("clock", "moved")
        if moved is not None:  # a gateway's clock that was set or moved: its time is the store's time
            clock.follow(int(moved["shift"]))
        yield Opened(store, clock, settings)
    except Conflict as error:
        raise Unacceptable(str(error)) from None
    except StoreError as error:
        raise SetupFailed(f"{folder}: {error}") from None
    finally:
        store.close()


@contextmanager
def writing(there: Opened, kind: str, detail: str = "") -> Iterator[Unit]:
    """One transaction, and its line in the audit trail."""
    with there.store.transaction() as unit:
        yield unit
        unit.add_event(Event(there.now(), OPERATOR, kind, detail=detail))


def with_store(command: Callable[Concatenate[Opened, P], R]) -> Callable[..., R]:
    """Give a command the options ``-c`` and ``--data`` and the store they name as first argument."""

    @click.option(
        "-c", "--config", envvar="SEKISHO_CONFIG", metavar="FILE", help="Settings of the gateway (or SEKISHO_CONFIG)."
    )
    @click.option("--data", metavar="DIR", help="The folder of the store; without -c it is enough.")
    @functools.wraps(command)
    def run(config: str | None, data: str | None, *args: P.args, **kwargs: P.kwargs) -> R:
        with opened(config, data) as there:
            return command(there, *args, **kwargs)

    return run


def japan(microseconds: int | None) -> str:
    """A time as a person reads it: Japan time to the second."""
    return "" if microseconds is None else f"{from_us(microseconds):%Y-%m-%d %H:%M:%S}"
