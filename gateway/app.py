"""The composition: settings become a running gateway.

*Strategy.* One function builds every part and joins them; nothing else in the project does. Up: store, registry, clerk,
couriers, then the listeners, so that nothing comes in before it can be kept. Down, in reverse: listeners first, then
what they took in is finished, delivered as far as time allows, and the store closed.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import msgspec
import structlog

from sekisho.gateway import events
from sekisho.gateway.addressing import Addressing
from sekisho.gateway.admission import Admission
from sekisho.gateway.certificates import Certificates
from sekisho.gateway.clerk import Clerk, ClerkLimits
from sekisho.gateway.clock import Clock
from sekisho.gateway.delivery import Couriers, RetryPlan, Way
from sekisho.gateway.directory import Directory
from sekisho.gateway.doorkeeper import Doors
from sekisho.gateway.history import Sent
from sekisho.gateway.housekeeping import Housekeeping
from sekisho.gateway.intake import Intake
from sekisho.gateway.letterhead import Letterhead
from sekisho.gateway.listeners import Hall, make_listener, smtp_limits
from sekisho.gateway.msh import MessageService
from sekisho.gateway.msh_profiles import Profiles
from sekisho.gateway.partners import Partners
from sekisho.gateway.passwords import Passwords, hash_password
from sekisho.gateway.pipeline import Pipeline
from sekisho.gateway.registry import ensure_box, seed
from sekisho.gateway.schedule import Schedule
from sekisho.gateway.settings import Settings
from sekisho.gateway.trays import Trays
from sekisho.handlers import business_codes, catalogue
from sekisho.mailboxes import Store, open_store
from sekisho.mailboxes.letters import EBMS, Box, Dispatch, Window
from sekisho.transports.smtp_out import SendLimits

__all__ = ["Gateway", "serve"]

log = structlog.get_logger("sekisho.gateway")
_GRACE = 5.0
"""Seconds given to running transactions and deliveries when the gateway closes."""


class Gateway:
    """One gateway with everything it is made of. :meth:`start` and :meth:`stop` in a running loop."""

    def __init__(self, settings: Settings, store: Store | None = None, clerk_class: type[Clerk] = Clerk) -> None:
        self.settings = settings
        self.clock = Clock(settings.gateway.starts_at)
        self.store = store or open_store(settings.store.url, settings.data, self.clock.us)
        self.failure: BaseException | None = None
        self.closed = asyncio.Event()
        planned = tuple(
            Window(0, window.business, window.code, window.starts_us, window.ends_us, window.text)
            for window in settings.window
        )
        modules, generation = tuple(settings.gateway.handlers), settings.gateway.generation
        for module in modules:
            importlib.import_module(module)
        self.directory = Directory(planned)
        self.passwords = Passwords()
        partners = Partners(settings.partner)
        self.pipeline = Pipeline(
            catalogue=catalogue(generation, modules),
            directory=self.directory,
            addressing=Addressing(self.directory, settings.operators.box),
            admission=Admission(self.directory, self.passwords, settings.may_run),
            passwords=self.passwords,
            clock=self.clock,
            environment=settings.gateway.environment,
            number_text=lambda kind, n: settings.series(kind).text(n),
            generation=generation,
            modules=modules,
            business=settings.business,
            message_bytes=settings.limits.message_bytes,
            partners=partners,
            examinations=settings.examination,
        )
        codes = business_codes(modules)

        def kind_of(code: str) -> str:
            return codes[code].kind if code in codes else ""

        self.clerk = clerk_class(
            self.store,
            self.pipeline,
            intake=Intake(
                kind_of, int(settings.identity.window_seconds * 1_000_000), partners, smtp_limits(settings).mime
            ),
            directory=self.directory,
            passwords=self.passwords,
            clock=self.clock,
            limits=_clerk_limits(settings),
            on_letters=self._letters_committed,
            on_marked=self._marks_committed,
            on_fatal=self._failed,
        )
        delivery = settings.delivery
        first = next((a for listener in settings.listener for a in listener.centre), "")
        letterhead = Letterhead(first, settings.gateway.hostname)
        self.couriers = Couriers(
            self.store,
            clock=self.clock,
            on_mark=self.clerk.mark,
            letterhead=letterhead,
            hostname=settings.gateway.hostname,
            limits=SendLimits(keep_alive=delivery.keep_alive_seconds, data_reply=delivery.data_reply_seconds),
            plan=RetryPlan(
                tuple(delivery.retry_minutes),
                delivery.give_up_hours,
                delivery.unknown_after_minutes,
                delivery.spread,
                delivery.recall_seconds,
            ),
            port=delivery.port,
            queue_most=settings.limits.outbound_queue,
            other_way=self._ebms_way,
        )
        self.certificates = Certificates(settings.certificate, (settings.gateway.hostname, "localhost", "127.0.0.1"))
        self.housekeeping = Housekeeping(
            store=self.store,
            clerk=self.clerk,
            couriers=self.couriers,
            clock=self.clock,
            retention_days=settings.store.retention_days,
            fetched_days=settings.store.retention_fetched_days,
            journal_days=settings.store.journal_days,
            certificates=self.certificates,
        )
        limits = settings.limits
        self.trays = Trays(self.store, self.clerk, letterhead, self.clock, self.couriers.collected)
        self.doors = Doors(self.store, self.passwords, tries=limits.login_tries, delay=limits.login_delay)
        self.ebms = MessageService(
            Profiles(settings.ebms, doorkeeper=self.doors),
            store=self.store,
            submit=self.clerk.submit,
            call=self.clerk.call,
            clock=self.clock,
            domain=first.rpartition("@")[2] or settings.gateway.hostname,
            on_collected=self.couriers.collected,
        )
        for ending in self.ebms.profiles.endings:
            self.certificates.also(f"{ending.profile}, {ending.use}", ending.not_after)
        hall = Hall(
            settings=settings,
            submit=self.clerk.submit,
            tray=self.trays,
            history=Sent(self.store),
            doorkeeper=self.doors,
            certificates=self.certificates,
            clock=self.clock,
            ebms=self.ebms,
        )
        self.listeners = [make_listener(listener, hall) for listener in settings.listener]
        self.schedule = Schedule(
            store=self.store,
            clerk=self.clerk,
            clock=self.clock,
            steps=self.pipeline.steps,
            on_letters=self.couriers.offer,
            movable=settings.gateway.environment == "test",
        )
        self._rounds: list[asyncio.Task[None]] = []

    # The clerk is made before the couriers that it tells, so it tells them through these two.
    def _letters_committed(self, letters: list[Dispatch]) -> None:
        self.couriers.offer(letters)

    def _marks_committed(self, letters: list[int]) -> None:
        self.couriers.marked(letters)

    def _ebms_way(self, box: Box) -> Way | None:
        """How letters leave a box by its ebms door; None if it has none, or a partner who comes for them."""
        sender, plan = self.ebms.sender_of(box.id), self.ebms.plan_of(box.id)
        if EBMS not in box.doors or sender is None or plan is None:
            return None
        return Way(EBMS, sender, plan)

    def _failed(self, error: BaseException) -> None:
        """The clerk has stopped: nothing can be kept, so nothing may be taken."""
        self.failure = error
        self.closed.set()

    async def start(self) -> dict[str, str]:
        """Bring everything up; the listeners' names and addresses."""
        with self.store.transaction() as unit:
            if self.settings.registry.seed:
                added = seed(unit, self.settings.registry.seed, hash_password, self.clock.us())
                log.info("registry.seeded", **added)
            ensure_box(unit, self.settings.operators.box, self.settings.gateway.hostname)
            self.schedule.note(unit)
        self.certificates.look()
        self.couriers.look()  # what a former run left goes before anything the clerk will commit
        self.clerk.start()
        self.clerk.watch_disk()
        self._rounds = [
            asyncio.create_task(self.housekeeping.run(), name="housekeeping"),
            asyncio.create_task(self.schedule.run(), name="schedule"),
        ]
        out = {}
        for listener in self.listeners:
            await listener.start()
            host, port = listener.address
            out[listener.name] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return out

    async def stop(self) -> None:
        """Close in order: nobody new, what is in is finished, then the store."""
        await asyncio.gather(*(listener.stop(_GRACE) for listener in self.listeners))
        await self.couriers.stop(_GRACE if self.failure is None else 0)
        for task in self._rounds:
            task.cancel()
        await asyncio.gather(*self._rounds, return_exceptions=True)
        if self.failure is None:
            await self.clerk.stop()
        await self.ebms.close()
        self.doors.close()
        await asyncio.to_thread(self.store.close)


def _clerk_limits(settings: Settings) -> ClerkLimits:
    limits = settings.limits
    return ClerkLimits(
        batch_messages=limits.batch_messages,
        batch_bytes=limits.batch_bytes,
        hold_seconds=limits.batch_hold_ms / 1000,
        waiting_bytes=max(64 * 1024 * 1024, 4 * limits.max_object),
        lane_messages=limits.lane_backlog_messages,
        lane_bytes=limits.lane_backlog_bytes,
        free_bytes=_disk_floor(settings),
        busy_messages=limits.busy_backlog,
    )


def _disk_floor(settings: Settings) -> int:
    """The smaller of the two watermarks: a share of a small disk, so many bytes of a large one."""
    import shutil  # noqa: PLC0415 - once, at the start

    where = next((p for p in (settings.data, *settings.data.parents) if p.exists()), Path("/"))
    share = int(shutil.disk_usage(where).total * settings.limits.free_disk_percent / 100)
    return min(settings.limits.free_disk_bytes, share)


async def serve(
    settings: Settings, *, out: TextIO | None = None, gateway_class: Callable[..., Gateway] = Gateway
) -> int:
    """Run a gateway until SIGTERM or SIGINT; print the ready line when all listeners are up. The exit code.

    SIGHUP reads the certificates again. 0 after an orderly end, 1 when the store failed (the log says how).
    """
    events.configure(settings.log.format, settings.log.level)
    sys.setswitchinterval(0.001)  # the pen and the loop share one interpreter: hand over often
    gateway = gateway_class(settings)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, lambda: gateway.certificates.look(force=True))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gateway.closed.set)
    listeners = await gateway.start()
    ready: dict[str, Any] = {
        "event": "gateway.ready",
        "listeners": listeners,
        "console": None,
        "environment": settings.gateway.environment,
        "data": str(settings.data),
    }
    print(msgspec.json.encode(ready).decode(), file=out or sys.stdout, flush=True)
    # What stands now stays: the collector need not look at it again, nor come by at every few hundred objects.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    await gateway.closed.wait()
    log.info("gateway.closing")
    await gateway.stop()
    log.info("gateway.closed")
    return 1 if gateway.failure is not None else 0
