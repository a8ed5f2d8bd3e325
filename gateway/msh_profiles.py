"""Partner profiles at work: their keys loaded, found by who calls and by what a message names.

*Strategy.* Everything is read from its file once, so that a wrong path or key stops the start and no message. A caller
is known by his client certificate, by id and password of his box, or (where a profile says so) by being on this
machine; what he may then name are his own profiles and no others.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho.codecs.ebms.forms import Forms
from sekisho.codecs.ebms.signing import Signer, Verifier
from sekisho.codecs.ebms.values import EbFault, Header, Party
from sekisho.gateway.ebms_partners import EbmsPartner
from sekisho.mailboxes.letters import EBMS
from sekisho.transports.base import Doorkeeper
from sekisho.transports.ebms import Caller, Target, Unauthorised

__all__ = ["Ending", "Known", "Profile", "ProfileError", "Profiles"]


class ProfileError(Exception):
    """A profile cannot be used; ``args[0]`` says which, why, and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """One agreement with its keys."""

    agreed: EbmsPartner
    us: Party
    them: Party
    target: Target | None
    signer: Signer | None
    verifier: Verifier | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.agreed.name


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A caller that we know: all profiles he may name."""

    profiles: tuple[Profile, ...]
    most: int
    tolerances: frozenset[str]
    """What any of them tolerates: which one it is stands inside the message."""
    forms: Forms = field(default_factory=Forms)
    """Of the messages that came from here."""

    def choose(self, header: Header) -> Profile:
        """The agreement that a message names by CPAId and From. Raises :class:`EbFault` (items 17 and 18)."""
        named = [one for one in self.profiles if one.agreed.cpa_id == header.cpa_id]
        if not named:
            raise EbFault(
                "ValueNotRecognized",
                "this agreement is not known",
                location="/SOAP:Envelope/SOAP:Header/eb:MessageHeader/eb:CPAId",
                header=header,
            )
        for one in named:
            if header.sender.ids == one.them.ids or set(header.sender.ids) <= set(one.them.ids):
                return one
        raise EbFault(
            "Inconsistent",
            "From is not the party of this agreement that has connected",
            location="/SOAP:Envelope/SOAP:Header/eb:MessageHeader/eb:From",
            header=header,
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """A certificate of a profile and when it ends (UTC): for the warnings of the house."""

    profile: str
    use: str
    not_after: datetime


class Profiles:
    """All profiles. File names in them are relative to ``folder``. Raises :class:`ProfileError`.

    ``doorkeeper`` judges HTTP Basic; without one nobody is known by it.
    """

    def __init__(
        self, partners: Sequence[EbmsPartner], folder: Path | str = ".", doorkeeper: Doorkeeper | None = None
    ) -> None:
        self._folder = Path(folder)
        self._doorkeeper = doorkeeper
        self.endings: list[Ending] = []
        self.all = tuple(self._profile(one) for one in partners)
        self._by_print: dict[str, Known] = {}
        self._by_box: dict[str, Known] = {}
        self._loaded: list[bytes] = []
        by_print: dict[str, list[Profile]] = {}
        for one in self.all:
            for name in one.agreed.certificates:
                pem = self._read(one.agreed, "certificates", name)
                for certificate in self._certificates(one.agreed, "certificates", pem):
                    by_print.setdefault(certificate.fingerprint(hashes.SHA256()).hex(), []).append(one)
                    self.endings.append(Ending(one.name, "client", certificate.not_valid_after_utc))
                self._loaded.append(pem)
        for shown, profiles in by_print.items():
            self._by_print[shown] = _known(profiles)
        for box in {one.agreed.box for one in self.all}:
            self._by_box[box] = _known(one for one in self.all if one.agreed.box == box and one.agreed.basic)
        here = [one for one in self.all if one.agreed.plain]
        self._here = _known(here) if here else None
        self._takes_basic = any(one.agreed.basic for one in self.all) and doorkeeper is not None

    @property
    def client_certificates(self) -> bytes:
        """All partners' client certificates, PEM: what a listener's TLS context must trust to be shown them."""
        return b"\n".join(self._loaded)

    async def identify(self, caller: Caller) -> Known:
        """Who calls. Raises :class:`Unauthorised`; a certificate goes before Basic, and Basic before loopback."""
        if caller.fingerprint:
            known = self._by_print.get(caller.fingerprint)
            if known is not None:
                return known
        if caller.user and self._doorkeeper is not None:
            host = caller.peer.rpartition(":")[0]
            box = await self._doorkeeper.password(EBMS, caller.user, caller.password, host)
            known = self._by_box.get(box) if box is not None else None
            if known is not None and known.profiles:
                return known
            raise Unauthorised(challenge=True)
        if caller.loopback and self._here is not None:
            return self._here
        raise Unauthorised(challenge=self._takes_basic)

    def of_box(self, box: str, now: datetime) -> Profile | None:
        """By which agreement letters of a box leave: the first in force that can send, one with an endpoint before."""
        ours = [one for one in self.all if one.agreed.box == box and one.agreed.in_force(now)]
        able = [one for one in ours if any(action.direction == "out" for action in one.agreed.action)]
        return next((one for one in able if one.target is not None), able[0] if able else None)

    @property
    def pulled_boxes(self) -> frozenset[str]:
        """Boxes that have no partner with an endpoint: nothing is posted for them."""
        pushed = {one.agreed.box for one in self.all if one.target is not None}
        return frozenset(one.agreed.box for one in self.all) - pushed

    def named(self, name: str) -> Profile | None:
        """The profile of that name."""
        return next((one for one in self.all if one.name == name), None)

    # Loading -----------------------------------------------------------------------------------------------------

    def _profile(self, agreed: EbmsPartner) -> Profile:
        signer = verifier = None
        if agreed.signature != "none":
            key = self._read(agreed, "signing_key", agreed.signing_key)
            shown = self._read(agreed, "signing_certificate", agreed.signing_certificate)
            self._note(agreed, "signing", shown)
            try:
                signer = Signer(key, shown)
            except ValueError as error:
                raise _unusable(agreed, "signing_key", agreed.signing_key, str(error)) from error
            if agreed.signing_certificates:
                verifier = self._verifier(agreed)
        return Profile(agreed, agreed.us.party, agreed.them.party, self._target(agreed), signer, verifier)

    def _verifier(self, agreed: EbmsPartner) -> Verifier:
        trusted = []
        for name in agreed.signing_certificates:
            pem = self._read(agreed, "signing_certificates", name)
            self._note(agreed, "their signing", pem)
            found = self._certificates(agreed, "signing_certificates", pem)
            trusted += [one.public_bytes(Encoding.PEM) for one in found]
        try:
            return Verifier(trusted, tolerances=frozenset(agreed.tolerances))
        except ValueError as error:
            names = ", ".join(agreed.signing_certificates)
            raise _unusable(agreed, "signing_certificates", names, str(error)) from error

    def _target(self, agreed: EbmsPartner) -> Target | None:
        if not agreed.url:
            return None
        password = ""
        if agreed.basic_user:
            text = self._read(agreed, "basic_password_file", agreed.basic_password_file)
            password = text.decode("utf-8", "replace").strip("\r\n")
        return Target(
            url=agreed.url,
            soap_action=agreed.soap_action,
            tls=self._client_context(agreed) if agreed.url.startswith("https:") else None,
            user=agreed.basic_user,
            password=password,
            timeout=agreed.timeout_seconds,
            connect=min(agreed.timeout_seconds, _CONNECT_SECONDS),
            response_bytes=agreed.max_message,
        )

    def _client_context(self, agreed: EbmsPartner) -> ssl.SSLContext:
        """Verification is always on; a server certificate of the partner's own goes into ``tls_trust``."""
        try:
            trust = str(self._folder / agreed.tls_trust) if agreed.tls_trust else None
            context = ssl.create_default_context(cafile=trust)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if agreed.tls_certificate:
                context.load_cert_chain(
                    self._folder / agreed.tls_certificate, self._folder / agreed.tls_key, password=_no_passphrase
                )
                self._note(agreed, "TLS client", self._read(agreed, "tls_certificate", agreed.tls_certificate))
        except (OSError, ssl.SSLError, ValueError) as error:
            name = agreed.tls_trust or agreed.tls_certificate
            raise _unusable(agreed, "tls_certificate", name, str(error)) from error
        return context

    def _read(self, agreed: EbmsPartner, key: str, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise _unusable(agreed, key, name, error.strerror or "cannot be read") from error

    def _note(self, agreed: EbmsPartner, use: str, pem: bytes) -> None:
        for certificate in self._certificates(agreed, use, pem):
            self.endings.append(Ending(agreed.name, use, certificate.not_valid_after_utc))

    def _certificates(self, agreed: EbmsPartner, key: str, pem: bytes) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(pem)
        except ValueError as error:
            raise _unusable(agreed, key, "", "no certificate in PEM") from error


_CONNECT_SECONDS: Final = 15.0
"""For a TCP connection and its TLS: who needs longer will not take a message in time either."""


def _known(profiles: Iterable[Profile]) -> Known:
    own = tuple(profiles)
    most = max((one.agreed.max_message for one in own), default=0)
    return Known(own, most, frozenset(name for one in own for name in one.agreed.tolerances))


def _no_passphrase() -> str:
    raise ValueError("the key is protected by a passphrase; store it without one, readable for the gateway only")


def _unusable(agreed: EbmsPartner, key: str, name: str, reason: str) -> ProfileError:
    return ProfileError(f'ebms "{agreed.name}".{key}: {name} cannot be used ({reason})')
