"""What the lines of an in-house system share: where a door is, how one gets in, what goes and comes by it.

*Strategy.* A line (``two-way``, ``mail``, ``sftp``, ``ebms``) packs a message once and submits the packet as often as
it is told to, so that a repeat is a repeat, byte for byte. Letters that are not pushed are fetched by a collector, one
a door; fetching says which letters are known already, so nothing comes twice. Passwords are in :class:`Access` and are
shown by nothing.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol
from urllib.parse import unquote, urlsplit

from sekisho.codecs.envelope import Attachment
from sekisho.gateway.inhouse import Submission

__all__ = ["Access", "Collector", "Fetched", "Line", "LineError", "Packet", "Tls", "client_context", "parse_door"]

Tls = Literal["none", "starttls", "implicit"]

_PORTS: Final = {"smtp": 25, "smtps": 465, "pop3": 110, "pop3s": 995, "sftp": 22, "ebms": 80, "ebms+https": 443}
_ENCRYPTED: Final = {"smtps": "smtp", "pop3s": "pop3", "ebms+https": "ebms"}
_BOX: Final = re.compile(r"[!-~]{1,128}")


class LineError(Exception):
    """A door did not do what was asked. ``stage`` is where (``connect``, ``login``, a verb); the text says why.

    ``code`` is the number it was refused with, 0 without one.
    """

    def __init__(self, stage: str, text: str, code: int = 0) -> None:
        super().__init__(" ".join(filter(None, (f"{stage}:", str(code or ""), text))))
        self.stage, self.text, self.code = stage, text, code


@dataclass(frozen=True, slots=True)
class Access:
    """A door and how one gets in.

    ``box`` and ``password`` are the mailbox's own credentials, empty where the door wants none. ``trust`` is a PEM file
    of the certificates that are trusted, empty for the machine's (SFTP: a file of known hosts, empty for the user's);
    ``insecure`` trusts anybody. ``path`` is for HTTP.
    """

    scheme: str
    host: str
    port: int
    box: str = ""
    password: str = field(default="", repr=False)
    tls: Tls = "none"
    trust: str = ""
    insecure: bool = False
    path: str = ""

    def __str__(self) -> str:
        """As a URL, without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{self.box}{'@' if self.box else ''}{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class Packet:
    """A message as its line sends it: a mail, a file, an ebMS message. ``name`` is what the line calls it."""

    name: str
    data: bytes = field(repr=False)
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A letter that was fetched. ``name`` is what the door calls it for ever (UIDL, path).

    ``removed`` says that the door has confirmed its removal: under this name it comes only if it is sent once more.
    """

    name: str
    content: bytes = field(repr=False)
    transport_id: str = ""
    removed: bool = False


class Line(Protocol):
    """How an in-house system sends."""

    def pack(self, content: bytes, *, message_id: str = "", files: Sequence[Attachment] = ()) -> Packet:
        """Make what is sent, once; ``message_id`` names it where the line lets the sender choose."""
        ...

    async def submit(self, packet: Packet) -> Submission:
        """Send it and say how it ended. Never raises for the network."""
        ...

    async def close(self) -> None:
        """End the connections that are kept."""
        ...


class Collector(Protocol):
    """How an in-house system fetches. Each raises :class:`LineError`."""

    async def waiting(self) -> list[str]:
        """The names of all letters that wait, oldest first; nothing is removed."""
        ...

    async def collect(self, known: Collection[str] = (), *, leave: bool = False) -> list[Fetched]:
        """Fetch the letters whose names are not ``known``, oldest first, and have them removed unless ``leave``."""
        ...

    async def close(self) -> None:
        """End the connection that is kept."""
        ...


def parse_door(url: str, schemes: Sequence[str]) -> Access:
    """``scheme://[BOX@]host[:port]`` as an :class:`Access`. A password in it is refused, because URLs are logged.

    ``smtps``, ``pop3s`` and ``ebms+https`` are encrypted from the first byte; only ebms has a path. Raises ValueError.
    """
    parts = urlsplit(url)
    wanted = " or ".join(f"{scheme}://[BOX@]host:port" for scheme in schemes)
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    path = parts.path if parts.scheme.startswith("ebms") else parts.path.removeprefix("/")
    if parts.scheme not in schemes or not host or (path and not path.startswith("/")) or parts.query or parts.fragment:
        raise ValueError(f"{_without_password(url)!r} is not {wanted}")
    if parts.password is not None:
        text = "a password does not belong into a URL, which others see"
        raise ValueError(f"{text}; give it with --password, in SEKISHO_BOX_PASSWORD, or when you are asked")
    box = unquote(parts.username or "")
    if box and not _BOX.fullmatch(box):
        raise ValueError(f"{box!r} is no mailbox ID")
    scheme = _ENCRYPTED.get(parts.scheme, parts.scheme)
    tls: Tls = "implicit" if scheme != parts.scheme else "none"
    return Access(scheme, host, port if port is not None else _PORTS[parts.scheme], box, tls=tls, path=path)


def _without_password(url: str) -> str:
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", url)


def client_context(access: Access) -> ssl.SSLContext:
    """What a TLS client asks of the other side: a certificate for its name, of an issuer that is trusted.

    Raises :class:`LineError` for a ``trust`` that cannot be read.
    """
    if access.insecure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cafile=access.trust or None)
    except OSError as error:
        raise LineError("tls", f"{access.trust}: {error.strerror or error}") from None
