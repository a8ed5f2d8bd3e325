"""A gateway with an ebMS partner for tests: real store, clerk, listener and couriers, and one peer.

::

    async with centre(tmp_path) as desk:
        said = await desk.peer.post(desk.peer.request(desk.request("TCC")))
"""

# ruff: noqa: ANN401 - keyword arguments are handed through to the values they make

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sekisho.codecs.ebms.signing import Signer
from sekisho.codecs.ebms.values import EbMessage
from sekisho.gateway.ebms_partners import Action, EbmsPartner, Id, Pull, Side
from sekisho.mailboxes.letters import Box, Letter
from sekisho.mailboxes.store import Unit
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


def table_of(partner: EbmsPartner) -> str:
    """The ``[[ebms]]`` table that says the same."""
    return f"[[ebms]]\n{_lines(msgspec.to_builtins(partner))}"


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in table.items() if value is not None)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return json.dumps(value)


LISTENER = """
[[listener]]
name = "ebms"
kind = "http"
address = "127.0.0.1:0"
[limits]
connections_address = 500
connections_partner = 500
"""


@dataclass
class Centre:
    """A running gateway and the partner's peer."""

    desk: Desk
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
    folder: Path, *partners: EbmsPartner, push: bool = False, signed: bool = False, toml: str = "", **changes: Any
) -> AsyncIterator[Centre]:
    """A gateway whose box ``BRK`` belongs to an ebMS partner.

    ``partners`` are its profiles, by default one with ``changes``; ``push``: the peer has an endpoint, which the
    profile's ``url`` names. ``signed``: both sides sign. ``toml`` is added to the settings.
    """
    peer = Peer(signer=broker_signer() if signed else None)

    def opened(unit: Unit) -> None:
        box = unit.box(BOX)
        assert box is not None
        unit.put_box(Box(BOX, box.address, ("ebms",)))

    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(peer.close)
        if push:
            changes["url"] = await stack.enter_async_context(peer.listening())
        own = partners or (signed_profile(folder, **changes) if signed else profile(**changes),)
        text = toml + LISTENER + "".join(table_of(one) for one in own)
        desk = await stack.enter_async_context(house(folder, text, change=opened))
        desk.gateway.ebms._signals._wait = 0.05  # tests do not wait for seconds
        peer.url = f"http://{desk.listeners['ebms']}/ebms"
        yield Centre(desk, peer)
