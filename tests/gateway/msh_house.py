"""A gateway with a message service handler for tests: real store, clerk, listener and couriers, and one peer.

::

    async with centre(tmp_path) as desk:
        said = await desk.peer.post(desk.peer.request(desk.request("TCC")))
"""

# ruff: noqa: ANN401 - keyword arguments are handed through to the values they make

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sekisho.codecs.ebms.signing import Signer
from sekisho.codecs.ebms.values import EbMessage
from sekisho.gateway.delivery import Couriers
from sekisho.gateway.ebms_partners import Action, EbmsPartner, Id, Pull, Side
from sekisho.gateway.msh import MessageService
from sekisho.gateway.msh_profiles import Profiles
from sekisho.mailboxes.letters import Box, Letter
from sekisho.mailboxes.store import Unit
from sekisho.transports.base import Parcel, Report
from sekisho.transports.ebms import EbmsEndpoint
from sekisho.transports.http import HttpLimits, HttpListener
from tests.gateway.ebms_peer import CPA, PULL, REPLY, REQUEST, SERVICE, THEM, US, Peer, key_files, keys
from tests.gateway.support import Desk, house

BOX = "BRK"


def profile(**changes: Any) -> EbmsPartner:
    """The agreement of the tests, with keys changed."""
    fields: dict[str, Any] = {
        "name": "broker",
        "box": BOX,
        "cpa_id": CPA,
        "us": Side(ids=tuple(Id(value=one.value) for one in US.ids), role=US.role),
        "them": Side(ids=tuple(Id(value=one.value) for one in THEM.ids), role=THEM.role),
        "action": (
            Action(service=SERVICE.value, action=REQUEST, direction="in"),
            Action(service=SERVICE.value, action=REPLY, direction="out"),
        ),
        "pull": Pull(service=SERVICE.value, action=PULL),
        "plain": True,
        "sync_reply": "mshSignalsOnly",
        "sync_wait_seconds": 5,
    }
    return EbmsPartner(**(fields | changes))


def signed_profile(folder: Path, **changes: Any) -> EbmsPartner:
    """The same with signatures on both sides, and signed acknowledgments."""
    key, certificate = key_files(folder, "centre")
    _, theirs = key_files(folder, "broker")
    fields: dict[str, Any] = {
        "signature": "require",
        "signing_key": key,
        "signing_certificate": certificate,
        "signing_certificates": (theirs,),
        "ack_signed": True,
    }
    return profile(**(fields | changes))


def broker_signer() -> Signer:
    """The peer's key."""
    return Signer(*keys("broker"))


@dataclass
class Centre:
    """A running gateway, its handler, and the partner's peer."""

    desk: Desk
    service: MessageService
    listener: HttpListener
    peer: Peer

    def request(self, code: str, **more: Any) -> bytes:
        """A NACCS request; see :meth:`Desk.request`."""
        return self.desk.request(code, **more)

    @property
    def letters(self) -> list[Letter]:
        """All letters of the partner's box."""
        return self.desk.letters(BOX)

    def states(self) -> list[str]:
        """Their states."""
        return [letter.state for letter in self.letters]

    async def ask(self, code: str = "TCC", **more: Any) -> EbMessage:
        """Send a request that is accepted, and give the message that was sent."""
        message = self.peer.request(self.request(code), **more)
        said = await self.peer.post(message)
        assert said.status == 200, said
        return message


@contextlib.asynccontextmanager
async def centre(
    folder: Path,
    *partners: EbmsPartner,
    push: bool = False,
    limits: HttpLimits | None = None,
    change: Callable[[Unit], object] | None = None,
    signed: bool = False,
    per_partner: int = 1000,
    toml: str = "",
    **changes: Any,
) -> AsyncIterator[Centre]:
    """A gateway whose box ``BRK`` belongs to an ebMS partner.

    ``partners`` are its profiles, by default one with ``changes``; ``push``: the peer has an endpoint, which the
    profile's ``url`` names. ``signed``: both sides sign.
    """
    peer = Peer(signer=broker_signer() if signed else None)

    def opened(unit: Unit) -> None:
        box = unit.box(BOX)
        assert box is not None
        unit.put_box(Box(BOX, box.address, ("ebms",), password_hash=box.password_hash))
        if change is not None:
            change(unit)

    async with contextlib.AsyncExitStack() as stack:
        if push:
            changes["url"] = await stack.enter_async_context(peer.listening())
        own = partners or (signed_profile(folder, **changes) if signed else profile(**changes),)
        desk = await stack.enter_async_context(house(folder, toml, change=opened))
        gateway = desk.gateway
        service = MessageService(
            Profiles(own, folder, gateway.doors),
            store=gateway.store,
            submit=gateway.clerk.submit,
            call=gateway.clerk.call,
            clock=gateway.clock,
            domain="CENTRE.SEKISHO.EXAMPLE",
            on_collected=gateway.couriers.collected,
            signal_wait=0.05,
        )
        _deliver_by(service, gateway.couriers)
        endpoint = EbmsEndpoint(service, listener="ebms", limits=limits, per_partner=per_partner)
        listener = HttpListener(name="ebms", host="127.0.0.1", port=0, mounts=[endpoint.mount], limits=limits)
        await listener.start()
        host, port = listener.address
        peer.url = f"http://{host}:{port}/ebms"
        try:
            yield Centre(desk, service, listener, peer)
        finally:
            await peer.close()
            await listener.stop(1)
            await service.close()


class _Nobody:
    """Who posts letters that are pulled: they wait where they are."""

    async def send(self, parcels: Sequence[Parcel], report: Callable[[Report], None]) -> None:
        """Nothing is tried, and nothing is reported."""

    async def close(self) -> None:
        """Nothing is open."""


def _deliver_by(service: MessageService, couriers: Couriers) -> None:
    """Have the house's couriers use the handler's senders and timers."""
    vars(couriers)["sender_for"] = lambda box: service.sender_of(box.id) or _Nobody()
    vars(couriers)["plan"] = service.plan_of(BOX)
