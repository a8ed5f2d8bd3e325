"""The partner's side of an ebMS agreement: what an in-house system says, and how it judges what it is told.

*Strategy.* An agreement is the same ``[[ebms]]`` table as the centre's, seen from the other side: ``us`` is the
in-house system, ``out`` is what it sends. Messages are written and read with the codec alone, strictly; nothing of the
centre's message service handler is used. What goes over HTTP is in ``inhouse_msh``.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sekisho.codecs.ebms.names import ACKNOWLEDGMENT, MSH_SERVICE
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.signing import Signer, Verifier
from sekisho.codecs.ebms.values import (
    Acknowledgment,
    AckRequested,
    EbFault,
    EbMessage,
    Header,
    ManifestItem,
    Party,
    Payload,
    Service,
    SyncReply,
    Wire,
)
from sekisho.codecs.ebms.writing import write
from sekisho.codecs.envelope import Attachment
from sekisho.codecs.mime import is_interchange, is_xml
from sekisho.gateway import ebms_partners
from sekisho.gateway.ebms_partners import EbmsPartner
from sekisho.gateway.strict_toml import read_file, read_table

__all__ = ["Agreement", "load_agreements", "mirrored"]

_OTHER_WAY: Final = {"in": "out", "out": "in"}
_MEDIA: Final = {"naccs": "text/plain", "edifact": "application/EDIFACT", "xml": "text/xml"}
_OURS: Final = (
    "name", "box", "cpa_id", "status", "valid_from", "valid_to", "pull", "soap_action", "timeout_seconds", "sync_reply",
    "sync_wait_seconds", "ack", "ack_signed", "ack_actor", "duplicate_elimination", "retries",
    "retry_interval_seconds", "persist_duration_seconds", "ordered", "signature", "max_part", "max_message",
)  # fmt: skip
"""Keys that say the same on both sides."""


def mirrored(table: Mapping[str, Any], *, url: str) -> dict[str, Any]:
    """A centre's ``[[ebms]]`` table as the partner has it, who reaches the centre at ``url``. Keys are not in it."""
    other = {key: table[key] for key in _OURS if key in table}
    other |= {"us": table["them"], "them": table["us"], "url": url, "allow_http": True, "plain": True}
    other["action"] = [dict(one) | {"direction": _OTHER_WAY[one["direction"]]} for one in table.get("action", ())]
    return other


def load_agreements(path: Path) -> list[Agreement]:
    """The agreements in a file of ``[[ebms]]`` tables, with their keys. Raises ValueError with every problem."""
    problems: list[str] = []
    tables = read_file(path, problems).get("ebms", [])
    if not problems and not (isinstance(tables, list) and tables and all(isinstance(one, dict) for one in tables)):
        problems.append(f"{path}: at least one [[ebms]] table is expected")
    found = [read_table(EbmsPartner, one, f"ebms[{at}].", problems) for at, one in enumerate(tables or ())]
    if problems:
        raise ValueError("\n".join(problems))
    return [Agreement(ebms_partners.placed(one, path.resolve().parent)) for one in found if one is not None]


class Agreement:
    """One agreement with its keys, from the in-house system's side. Raises ValueError for keys that cannot be used."""

    def __init__(self, agreed: EbmsPartner) -> None:
        self.agreed = agreed
        self.us, self.them = agreed.us.party, agreed.them.party
        self._signer: Signer | None = None
        self._verifier: Verifier | None = None
        try:
            if agreed.signature != "none":
                key, shown = Path(agreed.signing_key), Path(agreed.signing_certificate)
                self._signer = Signer(key.read_bytes(), shown.read_bytes())
                if agreed.signing_certificates:
                    self._verifier = Verifier([Path(name).read_bytes() for name in agreed.signing_certificates])
        except OSError as error:
            raise ValueError(f'ebms "{agreed.name}": {error.filename} cannot be read ({error.strerror})') from None
        except ValueError as error:
            raise ValueError(f'ebms "{agreed.name}": {error}') from None

    @property
    def is_pulled(self) -> bool:
        """Whether we ask for our letters."""
        return self.agreed.pull is not None

    # Saying ------------------------------------------------------------------------------------------------------

    def request(self, content: bytes, *, message_id: str = "", files: Sequence[Attachment] = ()) -> EbMessage:
        """A business message with a message and files. Raises ValueError if no action of ours carries it."""
        kind = "edifact" if is_interchange(content) else "xml" if is_xml(content) else "naccs"
        action = self.agreed.outgoing(kind)
        if action is None:
            raise ValueError(f'ebms "{self.agreed.name}": no action with direction out carries {kind}')
        header = self._header(action.named, action.action, message_id=message_id)
        parts = [Payload(f"payload-1.{header.message_id}", action.media_type or _MEDIA[kind], content)]
        for number, file in enumerate(files, 2):
            content_id = f"payload-{number}.{header.message_id}"
            parts.append(Payload(content_id, file.content_type or "application/octet-stream", file.content))
        manifest = tuple(ManifestItem(f"cid:{part.content_id}") for part in parts)
        return self._asking(header, manifest=manifest, payloads=tuple(parts))

    def pull(self, ref_to: str = "") -> EbMessage:
        """A message that asks for the oldest letter; without Acknowledgments ``ref_to`` names the one before."""
        pull = self.agreed.pull
        if pull is None:
            raise ValueError(f'ebms "{self.agreed.name}": no pull is agreed; letters are pushed to --listen')
        return self._asking(self._header(pull.named, pull.action, ref_to=ref_to))

    def acknowledgment(self, received: EbMessage) -> EbMessage:
        """The Acknowledgment of a letter, with its digests where a signed one was asked for."""
        asked = received.ack_requested
        header = self._header(
            Service(MSH_SERVICE),
            ACKNOWLEDGMENT,
            conversation=received.header.conversation,
            ref_to=received.header.message_id,
            roles=False,
        )
        said = Acknowledgment(
            timestamp=header.timestamp,
            ref_to=received.header.message_id,
            sender=self.us,
            references=received.digests if asked is not None and asked.signed else (),
        )
        return EbMessage(header, acknowledgment=said)

    def wire(self, message: EbMessage) -> Wire:
        """The bytes of a message, signed where signatures are agreed."""
        boundary, content_id = f"=-{secrets.token_hex(16)}", f"soap.{message.header.message_id}"
        return write(message, boundary=boundary, content_id=content_id, signer=self._signer)

    def _asking(
        self, header: Header, *, manifest: tuple[ManifestItem, ...] = (), payloads: tuple[Payload, ...] = ()
    ) -> EbMessage:
        agreed = self.agreed
        return EbMessage(
            header,
            ack_requested=AckRequested(agreed.ack_signed, agreed.actor) if agreed.ack != "never" else None,
            sync_reply=SyncReply() if agreed.sync_reply != "none" else None,
            manifest=manifest,
            payloads=payloads,
        )

    def _header(
        self,
        service: Service,
        action: str,
        *,
        message_id: str = "",
        conversation: str = "",
        ref_to: str = "",
        roles: bool = True,
    ) -> Header:
        now = datetime.now(UTC)
        own = message_id or f"{secrets.token_hex(12)}@in-house.sekisho.example"
        return Header(
            sender=self.us if roles else Party(self.us.ids),
            receiver=self.them if roles else Party(self.them.ids),
            cpa_id=self.agreed.cpa_id,
            conversation=conversation or own,
            service=service,
            action=action,
            message_id=own,
            timestamp=now.replace(microsecond=now.microsecond // 1000 * 1000),
            ref_to=ref_to,
            duplicate_elimination=roles and self.agreed.duplicate_elimination != "never",
        )

    # Hearing -----------------------------------------------------------------------------------------------------

    def judged(self, content_type: str, body: bytes) -> EbMessage:
        """What the centre says, read strictly. Raises :class:`EbFault` for a wrong party or signature too."""
        message = read(content_type, body)
        header = message.header
        if header.cpa_id != self.agreed.cpa_id or not set(header.sender.ids) <= set(self.them.ids):
            raise EbFault("Inconsistent", "CPAId or From is not the centre's", header=header)
        if message.is_signed and self._verifier is not None:
            self._verifier.verify(message, now=datetime.now(UTC))
        elif self.agreed.signature == "require" and message.kind == "business":
            raise EbFault("SecurityFailure", "a signature is agreed, and there is none", header=header)
        return message
