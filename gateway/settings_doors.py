"""Settings of the doors: listeners and the certificates they show.

*Strategy.* As in :mod:`sekisho.gateway.settings`, which reads them: one frozen Struct a table, rules between the keys
of one table in its ``__post_init__``.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["Certificate", "Listener"]

Filled = Annotated[str, Meta(min_length=1)]


class Certificate(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[certificate]]``: what listeners show, read again when its files change."""

    name: Filled
    """How listeners call it."""
    certificate: Filled
    """PEM file: the certificate, then those that lead to its issuer. Relative to the settings file."""
    key: Filled
    """PEM file of its private key, without a passphrase; readable for the gateway only."""
    client_ca: str = ""
    """PEM file of the issuers whose client certificates are accepted."""
    self_signed: bool = False
    """In a test environment: make both files at the start where they are missing, signed by nobody."""
    minimum_tls: Literal["1.2", "1.3"] = "1.2"
    """The oldest version that is spoken; 1.2 is what partners of today still need."""
    warn_days: Annotated[int, Meta(ge=0)] = 30
    """Fewer days left than this are warned of, at the start and every day: renewal needs work on both sides."""


class Listener(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[listener]]``: one door that messages come in by, or letters are fetched at."""

    name: Filled
    """How logs and the ready line call it."""
    kind: Literal["smtp", "pop3", "sftp", "http"] = "smtp"
    """The protocol; http serves ebMS."""
    mode: Literal["two-way", "mail"] = "two-way"
    """smtp only. two-way: replies are pushed at once; mail: several requests, replies are fetched later."""
    address: Filled
    """host:port to listen on; port 0 takes any free one."""
    centre: tuple[Filled, ...] = ()
    """smtp: the addresses that mail may be sent to here; any other recipient is refused with 550."""
    other_centre: tuple[Filled, ...] = ()
    """smtp: addresses of the other environment (production, test): refused with a text that names this one."""
    tls: Literal["none", "starttls", "implicit"] = "none"
    """smtp, pop3, http: starttls begins in the clear (smtp, pop3), implicit is encrypted from the first byte."""
    require_tls: bool = True
    """With starttls: nobody logs in or sends before it; false lets those in who cannot encrypt."""
    certificate: str = ""
    """Name of the [[certificate]] that is shown."""
    client_certificates: Literal["none", "optional", "required"] = "none"
    """With tls: whether clients show a certificate of one of client_ca."""
    auth: Literal["none", "optional", "required"] = "none"
    """smtp, mode mail: whether senders log in with mailbox ID and password."""
    apop: bool = False
    """pop3: offer APOP to boxes that keep a readable secret; its digest (MD5) is weak, prefer TLS."""
    host_keys: tuple[Filled, ...] = ()
    """sftp: files of host keys; empty: one is made in the data folder and kept."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        if self.name == "operator":
            raise ValueError("name", '"operator" is what the journal calls requests that an operator enters')
        host, port = split_address(self.address)
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("address", f'"{self.address}"; host:port is expected, like "127.0.0.1:2525"')
        if self.kind == "smtp" and not self.centre:
            raise ValueError("centre", "at least one address that mail is sent to is expected")
        for key in ("centre", "other_centre"):
            for address in getattr(self, key):
                if self.kind != "smtp":
                    raise ValueError(key, f"is for smtp; this listener is {self.kind}")
                if "@" not in address.strip("@"):
                    raise ValueError(key, f'"{address}" is no mail address')
        both = {address.upper() for address in self.centre} & {address.upper() for address in self.other_centre}
        if both:
            raise ValueError("other_centre", f'"{min(both)}" is in centre too')
        if self.tls != "none":
            self._check_tls()
        elif self.certificate or self.client_certificates != "none":
            raise ValueError("tls", 'is "none"; a certificate needs "starttls" or "implicit"')
        if self.auth != "none" and (self.kind, self.mode) != ("smtp", "mail"):
            raise ValueError("auth", "is for smtp in mode mail")
        if self.apop and self.kind != "pop3":
            raise ValueError("apop", f"is for pop3; this listener is {self.kind}")
        if self.host_keys and self.kind != "sftp":
            raise ValueError("host_keys", f"is for sftp; this listener is {self.kind}")

    def _check_tls(self) -> None:
        if self.kind == "sftp":
            raise ValueError("tls", "is not for sftp, which encrypts by itself")
        if self.kind == "http" and self.tls == "starttls":
            raise ValueError("tls", 'http knows "none" and "implicit"')
        if not self.certificate:
            raise ValueError("certificate", "the name of a [[certificate]] is expected with tls")

    @property
    def host(self) -> str:
        """The host of ``address``, without the brackets of IPv6."""
        return split_address(self.address)[0]

    @property
    def port(self) -> int:
        """The port of ``address``."""
        return int(split_address(self.address)[1])

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def encrypts(self) -> bool:
        """Whether nothing that matters can pass it unencrypted."""
        return self.kind == "sftp" or self.tls == "implicit" or (self.tls == "starttls" and self.require_tls)


def split_address(address: str) -> tuple[str, str]:
    """Host and port of ``host:port``; the brackets of IPv6 go."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), port
