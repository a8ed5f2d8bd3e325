"""ebMS partners: one ``[[ebms]]`` table an agreement, which says everything that was agreed with a partner.

*Strategy.* NACCS's own ebMS settings are not public, so nothing of them is in code: names, modes, timers, signatures
and identity are keys of a profile (spec/ebms.md section 11), which a CPA 2.0 document can fill (``sekisho ebms
import-cpa``). Who calls is told by what TLS or HTTP checked, before anything of the message is read; the profiles of
that caller are the only ones his message can name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct, structs

from sekisho.codecs.ebms.names import NEXT_MSH, OTHER_SOAP_ACTION, SOAP_ACTION, TO_PARTY_MSH, TOLERANCES
from sekisho.codecs.ebms.values import Party, PartyId, Service

__all__ = ["Action", "EbmsPartner", "Id", "Pull", "Side", "placed", "problems_of", "warnings_of"]

Filled = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(gt=0)]
When = Literal["always", "never", "per-message"]
Policy = Literal["answer", "refuse", "ignore"]
SyncMode = Literal["none", "mshSignalsOnly", "signalsOnly", "responseOnly", "signalsAndResponse"]

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+")
_ACTORS: Final = {"toPartyMSH": TO_PARTY_MSH, "nextMSH": NEXT_MSH}
_NO_LONGER_THAN: Final = 90 * 86_400.0
"""A retry span or a persist duration in seconds: months of retries are a mistake in units."""
_FILES: Final = (
    "tls_certificate",
    "tls_key",
    "tls_trust",
    "basic_password_file",
    "signing_key",
    "signing_certificate",
)
_CONTENTS: Final = ("naccs", "edifact", "xml")


class Id(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One PartyId. Without a type the value is a URI (item 16)."""

    value: Filled
    type: str = ""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        if not self.type and not _URI.fullmatch(self.value):
            raise ValueError("value", f'"{self.value}"; a URI is expected where there is no type')


class Side(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``us`` and ``them``: the ids and the role of one side."""

    ids: tuple[Id, ...]
    """Its PartyIds; messages may carry any of them, ours carry all."""
    role: str = ""
    """Its role; empty: none is sent, and any is taken."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        if not self.ids:
            raise ValueError("ids", "at least one PartyId is expected")

    @property
    def party(self) -> Party:
        """The side as a message names it."""
        return Party(tuple(PartyId(one.value, one.type) for one in self.ids), self.role)


class _Named(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    service: Filled
    """eb:Service."""
    service_type: str = ""
    """Its type; empty: the service is a URI."""
    action: Filled
    """eb:Action."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        if not self.service_type and not _URI.fullmatch(self.service):
            raise ValueError("service", f'"{self.service}"; a URI is expected where there is no service_type')

    @property
    def named(self) -> Service:
        """The service as a message names it."""
        return Service(self.service, self.service_type)

    def names(self, service: Service) -> bool:
        """Whether a message's service is this one."""
        return service.value == self.service and service.type == self.service_type


class Action(_Named, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[ebms.action]]``: one Service and Action that may be sent, and what it carries."""

    direction: Literal["in", "out"]
    """in: the partner sends it; out: we do."""
    content: Literal["", "naccs", "edifact", "xml"] = ""
    """out: which letters go by it; empty: all that no other action names."""
    part: str = ""
    """in: which payload is the message: a media type or a Manifest role; empty: the first. The others are files."""
    media_type: str = ""
    """out: how the payload is called; empty: by its content."""
    parts: Annotated[int, Meta(ge=0, le=1000)] = 0
    """in: how many payload parts a message may have; 0: any number."""


class Pull(_Named, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[ebms.pull]``: with this Service and Action the partner asks for what waits (Unspecified: our choice)."""


class EbmsPartner(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[ebms]]``: one agreement with one partner (spec/ebms.md 11). File names are relative to the settings."""

    name: Filled
    """How logs and the store call it; messages are told apart by it, so it never changes."""
    box: Filled
    """The box whose letters the partner gets; what he sends counts as sent by the users of this box."""
    cpa_id: Filled
    """eb:CPAId, the same in both directions."""
    status: Literal["proposed", "agreed", "signed"] = "agreed"
    """A proposed agreement is not in force (item 66)."""
    valid_from: str = ""
    """First moment (with zone, like 2025-01-01T00:00:00Z); empty: since ever."""
    valid_to: str = ""
    """The first moment after it; empty: for ever."""
    us: Side
    """The gateway's side."""
    them: Side
    """The partner's side."""
    action: tuple[Action, ...] = ()
    """What may be sent in either direction; anything else is ValueNotRecognized."""
    pull: Pull | None = None
    """For a partner without ``url``."""

    # Who he is
    certificates: tuple[Filled, ...] = ()
    """PEM files of his TLS client certificates; two of them let a renewal go without a stop."""
    basic: bool = False
    """He may show id and password of his box by HTTP Basic."""
    plain: bool = False
    """Anybody on this machine's loopback is this partner: for tests, and behind a proxy that has checked him."""

    # How he is reached
    url: str = ""
    """His endpoint; empty: he pulls."""
    allow_http: bool = False
    """Take a ``url`` without TLS that is not on this machine."""
    soap_action: Filled = SOAP_ACTION
    """SOAPAction of our posts, with its quotation marks."""
    timeout_seconds: Seconds = 60
    """For one post and its answer."""
    tls_certificate: str = ""
    """PEM file: our client certificate, with its chain."""
    tls_key: str = ""
    """PEM file: its key."""
    tls_trust: str = ""
    """PEM file: who may have signed his server's certificate; empty: the machine's list."""
    basic_user: str = ""
    """HTTP Basic of our posts."""
    basic_password_file: str = ""
    """A file that holds its password."""

    # Answers and reliability
    sync_reply: SyncMode = "none"
    """What comes in the HTTP response (item 48)."""
    sync_wait_seconds: Seconds = 15
    """How long a business reply is waited for there; shorter than the HTTP timeout of any peer we know."""
    ack: When = "per-message"
    """Acknowledgments; per-message: his as he asks, ours are asked for."""
    ack_signed: bool = False
    """We ask for signed ones, and compare their digests."""
    ack_actor: Literal["toPartyMSH", "nextMSH"] = "toPartyMSH"
    """Who acknowledges; nextMSH in messages of others is NotSupported unless it is agreed here (item 30)."""
    duplicate_elimination: When = "per-message"
    """DuplicateElimination; duplicates are never delivered, whatever it says."""
    retries: Annotated[int, Meta(ge=0, le=1000)] = 5
    """Attempts after the first one."""
    retry_interval_seconds: Seconds = 300
    """Between attempts, and after the last one until the message counts as failed."""
    persist_duration_seconds: Seconds = 1800
    """After this a message is not sent any more."""
    ordered: bool = False
    """MessageOrder is agreed: its numbers are read and not enforced; requests keep their order of arrival."""

    # Signatures
    signature: Literal["none", "sign", "require"] = "none"
    """sign: ours are signed, his are checked where there are; require: his must be signed too."""
    signing_key: str = ""
    """PEM file: our key."""
    signing_certificate: str = ""
    """PEM file: its certificate."""
    signing_certificates: tuple[Filled, ...] = ()
    """PEM files of the certificates that he signs with; nobody else's signature counts."""

    # Policies and bounds
    ping: Policy = "answer"
    """Ping: answer with Pong, refuse with NotSupported, or say nothing."""
    status_request: Policy = "answer"
    """StatusRequest: answer, refuse with UnAuthorized, or say nothing."""
    external_references: bool = False
    """Take a Manifest that names things outside the message; they are never fetched."""
    max_part: Annotated[int, Meta(ge=1)] = 12 * 1024 * 1024
    """Bytes of one payload, decoded. A message above the 700,000 of NACCS is taken and answered by its business."""
    max_message: Annotated[int, Meta(ge=1)] = 12 * 1024 * 1024
    """Bytes of an HTTP body."""
    tolerances: tuple[Filled, ...] = ()
    """Deviations of his that are read anyway, by name (docs/ebms.md)."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        for name in self.tolerances:
            if name not in TOLERANCES:
                raise ValueError("tolerances", f'"{name}"; known are {", ".join(TOLERANCES)}')
        starts, ends = _moment("valid_from", self.valid_from), _moment("valid_to", self.valid_to)
        if starts and ends and ends <= starts:
            raise ValueError("valid_to", f'"{self.valid_to}" is not after valid_from "{self.valid_from}"')
        if self.url:
            _check_url(self.url, self.allow_http)
            if not any(one.direction == "out" for one in self.action):
                raise ValueError("url", "needs an action with direction out, or nothing can be sent there")
        elif self.pull is not None and not any(one.direction == "out" for one in self.action):
            raise ValueError("pull", "needs an action with direction out for what it gets")
        if not (self.certificates or self.basic or self.plain):
            raise ValueError("certificates", "how he is known is missing: certificates, basic = true or plain = true")
        if self.signature != "none" and not (self.signing_key and self.signing_certificate):
            raise ValueError("signing_key", "signing_key and signing_certificate are expected where we sign")
        if self.signature == "require" and not self.signing_certificates:
            raise ValueError("signing_certificates", "his certificates are expected where he must sign")
        if self.ack_signed and not (self.signature != "none" and self.signing_certificates):
            raise ValueError("ack_signed", "needs a signature and his signing_certificates to check them with")
        if self.replies_in_response and not (self.url or self.pull):
            raise ValueError("sync_reply", "needs a url or a pull for replies that come too late for the response")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_key", "tls_certificate and tls_key go together")
        if bool(self.basic_user) != bool(self.basic_password_file):
            raise ValueError("basic_password_file", "basic_user and basic_password_file go together")
        self._check_times()

    def _check_times(self) -> None:
        if self.persist_duration_seconds > _NO_LONGER_THAN:
            raise ValueError("persist_duration_seconds", "more than 90 days")
        if self.persist_duration_seconds < self.span_seconds:
            raise ValueError(
                "persist_duration_seconds",
                f"{self.persist_duration_seconds:g}; at least (retries + 1) x retry_interval_seconds, "
                f"{self.span_seconds:g}, is expected (item 45)",
            )

    @property
    def span_seconds(self) -> float:
        """From the first attempt until the last one has had its time for an Acknowledgment."""
        return (self.retries + 1) * self.retry_interval_seconds

    @property
    def actor(self) -> str:
        """The URI of ``ack_actor``."""
        return _ACTORS[self.ack_actor]

    @property
    def any_soap_action(self) -> bool:
        """Whether his SOAPAction is not looked at (item 9)."""
        return OTHER_SOAP_ACTION in self.tolerances

    @property
    def signals_in_response(self) -> bool:
        """Whether what is said at once goes into the HTTP response.

        Without an endpoint of his there is no other place for it.
        """
        return self.sync_reply != "none" or not self.url

    @property
    def replies_in_response(self) -> bool:
        """Whether business replies go into the HTTP response."""
        return self.sync_reply in ("responseOnly", "signalsAndResponse")

    def in_force(self, now: datetime) -> bool:
        """Whether the agreement holds at an aware time (item 66)."""
        starts, ends = _moment("valid_from", self.valid_from), _moment("valid_to", self.valid_to)
        if self.status == "proposed":
            return False
        return (starts is None or starts <= now) and (ends is None or now < ends)

    def incoming(self, service: Service, action: str) -> Action | None:
        """What was agreed about a Service and Action of his."""
        return next(
            (one for one in self.action if one.direction == "in" and one.action == action and one.names(service)),
            None,
        )

    def outgoing(self, content: str) -> Action | None:
        """By which action letters with such content (naccs, edifact, xml) leave."""
        ours = [one for one in self.action if one.direction == "out"]
        return next((one for kind in (content, "") for one in ours if one.content == kind), None)

    def is_pull(self, service: Service, action: str) -> bool:
        """Whether he asks for what waits."""
        return self.pull is not None and self.pull.action == action and self.pull.names(service)


def _moment(key: str, text: str) -> datetime | None:
    """An aware time. Raises ValueError(key, text)."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(key, f'"{text}" is no time like 2025-01-01T00:00:00Z') from None
    if moment.tzinfo is None:
        raise ValueError(key, f'"{text}" has no zone; Z or +09:00 is expected behind it')
    return moment.astimezone(UTC)


def _check_url(url: str, allow_http: bool) -> None:
    parts = urlsplit(url)
    try:
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.fragment:
        raise ValueError("url", f'"{url}"; an address like https://partner.example/msh is expected')
    if parts.scheme == "http" and not allow_http and not _is_here(parts.hostname or ""):
        raise ValueError("url", f'"{url}" has no TLS: everybody on the way can read and change what goes there; '
                                "use https, or set allow_http = true")  # fmt: skip


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def placed(partner: EbmsPartner, folder: Path) -> EbmsPartner:
    """The same profile with its file names seen from ``folder``."""
    files: dict[str, Any] = {name: str(folder / value) for name in _FILES if (value := getattr(partner, name))}
    for name in ("certificates", "signing_certificates"):
        files[name] = tuple(str(folder / value) for value in getattr(partner, name))
    return structs.replace(partner, **files)


def problems_of(partners: Sequence[EbmsPartner]) -> Iterator[str]:
    """What is wrong between profiles that are each right."""
    names: set[str] = set()
    agreements: dict[tuple[str, str], str] = {}
    for at, partner in enumerate(partners):
        if partner.name in names:
            yield f'ebms[{at}].name: "{partner.name}" is the name of another profile'
        names.add(partner.name)
        for one in partner.them.ids:
            key = (partner.cpa_id, f"{one.value} {one.type}")
            if key in agreements:
                yield f'ebms[{at}].cpa_id: "{partner.cpa_id}" is already agreed with "{agreements[key]}"'
                break
            agreements[key] = partner.name


def warnings_of(partners: Sequence[EbmsPartner]) -> Iterator[str]:
    """What works but should be known."""
    for partner in partners:
        if partner.plain:
            yield f'ebms "{partner.name}": plain = true takes every program on this machine for the partner'
        if partner.url.startswith("http:") and partner.allow_http:
            yield f'ebms "{partner.name}": {partner.url} has no TLS; everybody on the way can read and change letters'
        if "sha1" in partner.tolerances:
            yield f'ebms "{partner.name}": signatures with SHA-1 are taken; they can be forged with effort'
