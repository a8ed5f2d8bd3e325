"""Foreign POP3 clients, started as their users start them: what they are told, and what they have stored.

Each class is one client with a folder of its own, in which it keeps what it has collected and which letters it knows.
:meth:`Client.collect` runs it once. ``keep`` leaves the letters on the server; a second run must then bring only new
ones. The clients are Debian's, but for poplib, whose user is the few lines in :class:`Poplib`.
"""

import contextlib
import os
import poplib
import shutil
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .boxes import NAME, PASSWORD, Keys

__all__ = ["ALL", "Client", "told"]


@dataclass(slots=True)
class Client:
    """A client; ``tls`` is empty, ``stls`` or ``implicit``."""

    folder: Path
    port: int
    tls: str = ""
    keys: Keys | None = None
    name: str = NAME
    password: str = PASSWORD
    said: bytes = b""
    """What its last run printed."""

    program: ClassVar[str] = ""
    can: ClassVar[tuple[str, ...]] = ("", "stls", "implicit")
    notes_each: ClassVar[bool] = False
    """Whether it writes down each letter that it has before it fetches the next."""

    def collect(self, *, keep: bool = False) -> bool:
        """Run it once; whether it says that all went well."""
        raise NotImplementedError

    def run(self, *command: str, unprivileged: bool = False) -> subprocess.CompletedProcess[bytes]:
        """Start a program with a home of its own; ``unprivileged``: not as root."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C", "USER": "root"}
        other = unprivileged and os.geteuid() == 0
        for path in [self.folder, *self.folder.rglob("*")] if other else []:
            shutil.chown(path, "nobody", "nogroup")
        done = subprocess.run(
            command,
            user="nobody" if other else None,
            group="nogroup" if other else None,
            extra_groups=[] if other else None,
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )
        self.said = done.stdout[:1_000] + done.stderr[-1_000:]
        return done

    @property
    def stored(self) -> list[bytes]:
        """What it has collected so far."""
        return [path.read_bytes() for path in sorted(self._maildir("new").iterdir())]

    def _maildir(self, part: str) -> Path:
        for each in ("new", "cur", "tmp"):
            (self.folder / "mail" / each).mkdir(parents=True, exist_ok=True)
        return self.folder / "mail" / part

    def keep_mail(self, number: int, data: bytes) -> None:
        """Store what a client without a store of its own has fetched."""
        path = self._maildir("new") / f"{len(self.stored):06d}.{number}"
        path.write_bytes(data)

    @property
    def certificate(self) -> str:
        """Path of what it is to trust."""
        return str(self.keys.certificate) if self.keys is not None else ""

    def known(self) -> set[str]:
        """UIDLs of letters that it has, where the client itself does not remember."""
        path = self.folder / "known"
        return set(path.read_text("ascii").split()) if path.exists() else set()

    def know(self, uid: str) -> None:
        """Remember one."""
        with (self.folder / "known").open("a", encoding="ascii") as file:
            file.write(uid + "\n")


class Poplib(Client):
    """The standard library's client, used in the way its documentation shows, with UIDL."""

    program = "poplib"
    notes_each = True

    def collect(self, *, keep: bool = False) -> bool:
        """See :meth:`Client.collect`."""
        try:
            self._collect(keep=keep)
        except (OSError, EOFError, poplib.error_proto):
            return False
        return True

    def _collect(self, *, keep: bool) -> None:
        context = ssl.create_default_context(cafile=self.certificate) if self.tls else None
        if self.tls == "implicit":
            client: poplib.POP3 = poplib.POP3_SSL("localhost", self.port, timeout=20, context=context)
        else:
            client = poplib.POP3("localhost", self.port, timeout=20)
        with contextlib.closing(client):
            if self.tls == "stls":
                client.stls(context)
            client.user(self.name)
            client.pass_(self.password)
            known = self.known()
            for line in client.uidl()[1]:
                number, uid = line.decode("ascii").split()
                if uid not in known:
                    self.keep_mail(int(number), b"".join(line + b"\r\n" for line in client.retr(int(number))[1]))
                    self.know(uid)
                if not keep:
                    client.dele(int(number))
            client.quit()


class Curl(Client):
    """A script around curl: UIDL, then a RETR for each letter that is not known, then a DELE for each."""

    program = "curl"
    notes_each = True

    def _curl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        options = ["-sS", "--max-time", "30", "--user", f"{self.name}:{self.password}"]
        if self.tls:
            options += ["--cacert", self.certificate] + (["--ssl-reqd"] if self.tls == "stls" else [])
        return self.run("curl", *options, *arguments)

    def collect(self, *, keep: bool = False) -> bool:
        """See :meth:`Client.collect`."""
        url = f"{'pop3s' if self.tls == 'implicit' else 'pop3'}://localhost:{self.port}/"
        listed = self._curl("-X", "UIDL", url)
        if listed.returncode:
            return False
        rows = [line.split() for line in listed.stdout.decode("ascii").splitlines() if line]  # curl adds one to none
        known = self.known()
        fine = True
        for number, uid in rows:
            if uid in known:
                continue
            got = self._curl(f"{url}{number}")
            if got.returncode:
                return False
            self.keep_mail(int(number), got.stdout)
            self.know(uid)
        if rows and not keep:
            # One connection: the numbers stay the same until its QUIT.
            fine = self._curl("-l", "-X", "DELE", *(f"{url}{number}" for number, _ in rows)).returncode == 0
        return fine


class Fetchmail(Client):
    """fetchmail with a delivery command, UIDs remembered in its id file; ``flush`` deletes what it has from before."""

    program = "fetchmail"

    def collect(self, *, keep: bool = False) -> bool:
        """See :meth:`Client.collect`."""
        mail = self._maildir("new")
        security = {
            "": "sslproto ''",
            "stls": f"sslproto 'auto' sslcertck sslcertfile '{self.certificate}'",
            "implicit": f"ssl sslcertck sslcertfile '{self.certificate}'",
        }[self.tls]
        rc = self.folder / "fetchmailrc"
        rc.write_text(
            f"set invisible\nset no bouncemail\n"
            f"poll localhost protocol POP3 port {self.port} timeout 20 uidl auth password no dns\n"
            f'  user "{self.name}" password "{self.password}" {"keep" if keep else "no keep flush"} {security}\n'
            f'  pass8bits no rewrite no mimedecode mda "cat > $(mktemp {mail}/XXXXXXXX)"\n',
            "ascii",
        )
        rc.chmod(0o600)
        files = ["--fetchmailrc", str(rc), "--idfile", str(self.folder / "ids"), "--pidfile", str(self.folder / "pid")]
        done = self.run("fetchmail", "--silent", "--nodetach", *files)
        return done.returncode in (0, 1)  # 1: there was no mail


class Mpop(Client):
    """mpop, which pipelines, with a maildir and its file of UIDs."""

    program = "mpop"

    def collect(self, *, keep: bool = False) -> bool:
        """See :meth:`Client.collect`."""
        security = "tls off"
        if self.tls:
            security = f"tls on\ntls_trust_file {self.certificate}\n"
            security += f"tls_starttls {'on' if self.tls == 'stls' else 'off'}"
        rc = self.folder / "mpoprc"
        self._maildir("new")
        rc.write_text(
            f'account default\nhost localhost\nport {self.port}\nuser {self.name}\npassword "{self.password}"\n'
            f"auth {'plain' if self.tls else 'user'}\n{security}\nkeep {'on' if keep else 'off'}\ntimeout 20\n"
            f"received_header off\nuidls_file {self.folder}/uidls\ndelivery maildir {self.folder}/mail\n",
            "ascii",
        )
        rc.chmod(0o600)
        return self.run("mpop", "--file", str(rc), "--quiet").returncode == 0


class Getmail(Client):
    """getmail with a maildir and its old-mail file; it has no STLS, and does not deliver as root."""

    program = "getmail"
    can = ("", "implicit")

    def collect(self, *, keep: bool = False) -> bool:
        """See :meth:`Client.collect`."""
        self._maildir("new")
        kind = "SimplePOP3SSLRetriever" if self.tls else "SimplePOP3Retriever"
        trust = f"ca_certs = {self.certificate}\n" if self.tls else ""
        rc = self.folder / "getmailrc"
        rc.write_text(
            f"[retriever]\ntype = {kind}\nserver = localhost\nport = {self.port}\nusername = {self.name}\n"
            f"password = {self.password}\ntimeout = 20\n{trust}"
            f"[destination]\ntype = Maildir\npath = {self.folder}/mail/\n"
            f"[options]\ndelete = {'false' if keep else 'true'}\nread_all = false\nreceived = false\n"
            "delivered_to = false\nverbose = 0\n",
            "ascii",
        )
        done = self.run("getmail", "--getmaildir", str(self.folder), "--rcfile", str(rc), unprivileged=True)
        # It ends with 0 whatever happens, and says what went wrong.
        return done.returncode == 0 and b"rror" not in done.stderr + done.stdout


ALL: tuple[type[Client], ...] = (Poplib, Curl, Fetchmail, Mpop, Getmail)


def _same(stored: bytes, sent: bytes) -> bool:
    """Whether a stored mail is the one that was sent: line ends may be the client's, header lines may be added."""
    if stored == sent:
        return True
    head, _, body = stored.replace(b"\r\n", b"\n").partition(b"\n\n")
    sent_head, _, sent_body = sent.replace(b"\r\n", b"\n").partition(b"\n\n")
    return body == sent_body and sent_head in head


def told(client: Client, sent: Sequence[bytes]) -> list[list[int]]:
    """For each mail that the client has stored, which of those sent it is: ``[[0], [1], [2]]`` when all is well."""
    return sorted([at for at, mail in enumerate(sent) if _same(stored, mail)] for stored in client.stored)
