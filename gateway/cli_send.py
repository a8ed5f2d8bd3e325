"""Commands of one in-house system by hand: ``send`` and ``collect``, by every line.

*Strategy.* The URL says the line. What comes back is printed the same whichever it was: letters that are pushed come to
``--listen``, the others are fetched for as long as is waited. Letters that waited before are nobody's answer and stay.
Exit codes: 0 taken and answered, 1 not, 2 the command, a file or an address is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from sekisho.codecs.envelope import Attachment
from sekisho.codecs.message import as_json
from sekisho.codecs.mime import is_interchange
from sekisho.gateway.cli_interchange import interchange_form
from sekisho.gateway.cli_text import SetupFailed, echo_json, read_input
from sekisho.gateway.conntest.lines import TwoWayLine
from sekisho.gateway.conntest.reports import shown
from sekisho.gateway.conntest.terminal import print_message, terminal
from sekisho.gateway.inhouse import Arrival, InHouseSystem, Submission
from sekisho.gateway.inhouse_doors import Access, Collector, Line, LineError, Tls, parse_door
from sekisho.gateway.inhouse_ebms import Agreement, load_agreements
from sekisho.gateway.inhouse_mail import MailLine
from sekisho.gateway.inhouse_msh import EbmsCollector, EbmsEnd
from sekisho.gateway.inhouse_pop3 import Pop3Collector
from sekisho.gateway.inhouse_sftp import SftpCollector, SftpLine, SftpSession, file_name
from sekisho.handlers.tables import catalogue

__all__ = ["CENTRE", "LISTEN", "MAIL_CENTRE", "Trusting", "collect", "form_of", "send", "trust_options"]

CENTRE: Final = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
"""The two-way address in samples/gateway.toml."""
MAIL_CENTRE: Final = "NACCS@MAIL.TEST.SEKISHO.EXAMPLE"
"""The mail-style address there."""
LISTEN: Final = "127.0.0.1:2626"
"""Where samples/registry.toml has replies pushed to."""
_QUIET: Final = 1.0
"""Seconds without a further reply after which ``send`` takes the answer as whole."""
_LOOK: Final = 0.2
"""Seconds between two visits to a door."""
_SMTP: Final = ("smtp", "smtps")
_FETCHED: Final = ("pop3", "pop3s", "sftp")
_EBMS: Final = ("ebms", "ebms+https")
_F = TypeVar("_F", bound=Callable[..., Any])
_S = TypeVar("_S", InHouseSystem, EbmsEnd)


def trust_options(command: _F) -> _F:
    """Whom one trusts: options of every command that opens a door."""
    for option in (
        click.option("--insecure", is_flag=True, help="Trust whoever answers. Named risk: he gets what is sent."),
        click.option("--known-hosts", default="", metavar="FILE", help="SFTP: keys of hosts.  [default: your own]"),
        click.option("--trust", default="", metavar="PEM", help="Who signs certificates.  [default: the machine's]"),
        click.option("--tls", type=click.Choice(["none", "starttls", "implicit"]), help="[default: by the URL]"),
    ):
        command = option(command)
    return command


def password_option(command: _F) -> _F:
    """The password of a box."""
    text = "The mailbox's.  [env: SEKISHO_BOX_PASSWORD; default: asked for]"
    return click.option("--password", envvar="SEKISHO_BOX_PASSWORD", metavar="TEXT", help=text)(command)


@dataclass(frozen=True, slots=True)
class Trusting:
    """What :func:`trust_options` were set to."""

    tls: Tls | None
    trust: str
    known_hosts: str
    insecure: bool

    def at(self, access: Access) -> Access:
        """A door with that. The risk of trusting anybody is named on standard error."""
        if self.insecure and (access.scheme == "sftp" or (self.tls or access.tls) != "none"):
            risk = "is taken for the centre and gets what is sent there, the password too"
            click.echo(f"sekisho: --insecure: whoever answers at {access} {risk}", err=True)
        is_sftp = access.scheme == "sftp"
        return replace(
            access,
            tls="none" if is_sftp else self.tls or access.tls,
            trust=self.known_hosts if is_sftp else self.trust,
            insecure=self.insecure,
        )


def _entered(url: str, schemes: Sequence[str], password: str | None, trusting: Trusting) -> Access:
    """A door with the box's password, which is asked for on a terminal. Raises :class:`SetupFailed`."""
    try:
        access = parse_door(url, schemes)
    except ValueError as error:
        raise SetupFailed(str(error)) from None
    if access.box and not password:
        if sys.stdin.isatty():
            password = click.prompt(f"Password of {access}", hide_input=True, default="", show_default=False)
        elif access.scheme != "sftp":  # which may be opened by the user's own SSH keys
            raise SetupFailed(f"{access}: no password; give it with --password or in SEKISHO_BOX_PASSWORD")
    return replace(trusting.at(access), password=password or "")


@dataclass(frozen=True, slots=True)
class _Sent:
    """How it went; ``problem`` is why replies could not be fetched."""

    submission: Submission
    arrivals: list[Arrival]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Way:
    """A line, how its replies are fetched (None: they are pushed), and what the box is called."""

    line: Line | None
    collector: Collector | None
    box: str
    awaits: bool = True


@click.command()
@click.argument("file")
@click.option("--to", required=True, metavar="URL", help="The centre: smtp:// sftp:// ebms:// [BOX@]host:port.")
@click.option("--collect", "fetch", metavar="URL", help="Mail style: where replies are fetched, pop3://BOX@host:port.")
@click.option("--wait", type=click.FloatRange(0), default=10.0, show_default=True, help="Seconds to wait for replies.")
@click.option("--listen", default=LISTEN, show_default=True, metavar="HOST:PORT", help="Where replies are pushed to.")
@click.option("--from", "sender", metavar="ADDRESS", help="MAIL FROM.  [default: made from the user code]")
@click.option("--centre", metavar="ADDRESS", help=f"RCPT TO.  [default: {CENTRE}; mail style: {MAIL_CENTRE}]")
@click.option("--attach", multiple=True, metavar="FILE", help="Send a file along (mail style, ebMS); repeatable.")
@click.option("--agreement", metavar="FILE.toml", help="ebMS: an [[ebms]] table seen from this side.")
@click.option("--leave", is_flag=True, help="Leave fetched replies where they are.")
@password_option
@trust_options
@click.option("--save", type=click.Path(file_okay=False), metavar="DIR", help="Write reply-1.txt, reply-2.txt … there.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON document.")
def send(
    file: str, to: str, fetch: str | None, wait: float, listen: str, sender: str | None, centre: str | None,
    attach: tuple[str, ...], agreement: str | None, leave: bool, password: str | None, tls: Tls | None, trust: str,
    known_hosts: str, insecure: bool, save: str | None, json_: bool,
) -> None:  # fmt: skip
    """Submit a message FILE, NACCS EDI or EDIFACT, as an in-house system and print the replies.

    \b
    two-way     --to smtp://host:port                                replies are pushed to --listen
    mail style  --to smtp://BOX@host:port --collect pop3://BOX@host:port
    SFTP        --to sftp://BOX@host:port                            put into /in, taken out of /out
    ebMS        --to ebms://BOX@host:port/ebms --agreement FILE.toml  (ebms+https:// with TLS)

    An interchange names no user code, so by SMTP it needs --from. Exit code 0: taken, and a reply came (with --wait 0:
    taken); 1: not.
    """  # noqa: D301 - click's own mark for lines that stay as they are
    trusting = Trusting(tls, trust, known_hosts, insecure)
    content = read_input(file)
    files = [_attached(name) for name in attach]
    scheme = to.partition("://")[0] if "://" in to else "smtp"
    if scheme in _SMTP and is_interchange(content) and not sender:
        raise SetupFailed(f"{file}: an EDIFACT interchange; --from ADDRESS says who sends it")
    if fetch and scheme not in _SMTP:
        raise SetupFailed(f"--collect is for smtp://; {scheme}:// has replies of its own")
    code = content[29:34].decode("ascii", "replace").strip() or "NOBODY"
    plan = _Plan(
        to=_entered(to if "://" in to else f"smtp://{to}", (*_SMTP, "sftp", *_EBMS), password, trusting),
        fetch=_entered(fetch, _FETCHED, password, trusting) if fetch else None,
        listen=listen,
        sender=sender or f"{code}@SMTP.IN-HOUSE.EXAMPLE",
        centre=centre,
        agreement=agreement,
        wait=wait,
        leave=leave,
    )
    name = f"<{file_name(Path(file).stem)}>" if file != "-" and plan.to.scheme == "sftp" else ""
    try:
        sent = asyncio.run(_send(plan, content, name, files))
    except ValueError as error:
        raise SetupFailed(str(error)) from None
    submission, arrivals = sent.submission, sent.arrivals
    _saved(save, arrivals)
    if json_:
        answer = {"stage": submission.stage, "code": submission.code, "text": submission.text}
        echo_json({"accepted": submission.accepted, "answer": answer, "replies": [form_of(one) for one in arrivals]})
    else:
        _print(str(submission), arrivals)
        if submission.accepted and wait and not arrivals and not sent.problem:
            click.echo(_nothing_came(plan, wait))
    if sent.problem:
        click.echo(f"sekisho: {sent.problem}", err=True)
    sys.exit(0 if submission.accepted and (arrivals or not wait) else 1)


@click.command()
@click.argument("url")
@click.option("--wait", type=click.FloatRange(0), default=0.0, show_default=True, help="Seconds to wait for a letter.")
@click.option("--leave", is_flag=True, help="Leave the letters where they are.")
@click.option("--agreement", metavar="FILE.toml", help="ebMS: an [[ebms]] table seen from this side.")
@password_option
@trust_options
@click.option("--save", type=click.Path(file_okay=False), metavar="DIR", help="Write reply-1.txt, reply-2.txt … there.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON document.")
def collect(
    url: str, wait: float, leave: bool, agreement: str | None, password: str | None, tls: Tls | None, trust: str,
    known_hosts: str, insecure: bool, save: str | None, json_: bool,
) -> None:  # fmt: skip
    """Fetch the letters of a mailbox at pop3://BOX@host:port, sftp://BOX@host:port or ebms://BOX@host:port/ebms.

    They are removed there unless --leave. Exit code 0: fetched, or nothing waits; 1: not let in, or nothing came within
    --wait.
    """
    trusting = Trusting(tls, trust, known_hosts, insecure)
    plan = _Plan(
        to=_entered(url, (*_FETCHED, *_EBMS), password, trusting), agreement=agreement, wait=wait, leave=leave
    )
    try:
        arrivals = asyncio.run(_collect(plan))
    except LineError as error:
        click.echo(f"sekisho: {plan.to}: {error}", err=True)
        sys.exit(1)
    except ValueError as error:
        raise SetupFailed(str(error)) from None
    _saved(save, arrivals)
    if json_:
        echo_json({"door": str(plan.to), "left": leave, "letters": [form_of(one) for one in arrivals]})
    else:
        count = f"{len(arrivals)} letter{'' if len(arrivals) == 1 else 's'}" if arrivals else "no letter waits"
        _print(f"{plan.to}: {count}{', left there' if leave and arrivals else ''}", arrivals)
    sys.exit(0 if arrivals or not wait else 1)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done, all options read."""

    to: Access
    fetch: Access | None = None
    listen: str = LISTEN
    sender: str = ""
    centre: str | None = None
    agreement: str | None = None
    wait: float = 0.0
    leave: bool = False

    @property
    def is_mail_style(self) -> bool:
        """Whether SMTP is spoken as mail style does."""
        return self.to.scheme == "smtp" and bool(self.fetch or self.to.box or self.to.tls != "none")


def _attached(name: str) -> Attachment:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Attachment(Path(name).name, kind, read_input(name))


def form_of(arrival: Arrival) -> dict[str, Any]:
    """A letter in its documented JSON form, with what it came by."""
    message = interchange_form(arrival.content) if arrival.is_interchange else as_json(arrival.message)
    return {"box": arrival.box, "line": arrival.line, "message_id": arrival.transport_id, "message": message}


def _saved(save: str | None, arrivals: Sequence[Arrival]) -> None:
    for number, arrival in enumerate(arrivals if save else (), 1):
        folder = Path(save or "")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"reply-{number}.txt").write_bytes(arrival.content)


def _print(title: str, arrivals: Sequence[Arrival]) -> None:
    console = terminal()
    console.print(title, markup=False)
    for arrival in arrivals:
        # The caller's own replies: nothing in them is hidden (a temporary password is read here).
        print_message(shown(arrival.message, "received", arrival.box, mask=False), console, indent=0)


def _nothing_came(plan: _Plan, wait: float) -> str:
    if plan.is_mail_style and plan.fetch is None:
        return "taken; its replies wait in the mailbox: --collect pop3://BOX@host:port fetches them"
    if plan.to.scheme == "smtp" and plan.fetch is None:
        return f"no reply within {wait:g} s; does the box push to this address?"
    return f"no reply within {wait:g} s; does the user's box have this door? `sekisho collect` looks again"


def _agreement(plan: _Plan) -> Agreement:
    if plan.agreement is None:
        raise SetupFailed("ebMS needs what was agreed: --agreement FILE.toml, an [[ebms]] table seen from this side")
    found = load_agreements(Path(plan.agreement))
    return next((one for one in found if one.agreed.box == plan.to.box), found[0])


async def _opened(plan: _Plan, system: InHouseSystem, stack: contextlib.AsyncExitStack) -> _Way:
    """The line of a plan's URL, its connections and servers left to ``stack``."""
    to = plan.to
    if to.scheme == "pop3":
        return _Way(None, Pop3Collector(to), to.box)
    if to.scheme == "sftp":
        session = SftpSession(to)
        stack.push_async_callback(session.close)
        return _Way(SftpLine(session), SftpCollector(session), to.box)
    if to.scheme == "ebms":
        agreement = _agreement(plan)
        listen = "127.0.0.1:0" if agreement.is_pulled else plan.listen
        end = await _listening(stack, EbmsEnd(system, listen), listen)
        posted = end.agree(agreement, to)
        stack.push_async_callback(posted.close)
        return _Way(posted, EbmsCollector(posted) if agreement.is_pulled else None, agreement.agreed.box)
    if plan.is_mail_style:
        mail = MailLine(to, sender=plan.sender, centre=plan.centre or MAIL_CENTRE)
        stack.push_async_callback(mail.close)
        if plan.fetch is None:
            return _Way(mail, None, "", awaits=False)
        fetching = replace(plan, to=plan.fetch, fetch=None)
        return replace(await _opened(fetching, system, stack), line=mail)
    if plan.wait:
        await _listening(stack, system, plan.listen)
    return _Way(TwoWayLine(to.host, to.port, sender=plan.sender, centre=plan.centre or CENTRE), None, "")


async def _listening(stack: contextlib.AsyncExitStack, server: _S, listen: str) -> _S:
    try:
        await stack.enter_async_context(server)
    except OSError as error:
        raise SetupFailed(f"cannot listen on {listen}: {error.strerror or error}; choose another --listen") from None
    return server


async def _send(plan: _Plan, content: bytes, name: str, files: Sequence[Attachment]) -> _Sent:
    system = InHouseSystem(catalogue(), plan.listen)
    async with contextlib.AsyncExitStack() as stack:
        way = await _opened(plan, system, stack)
        if way.line is None:
            raise SetupFailed(f"{plan.to} is where letters are fetched; `sekisho collect` does")
        packet = way.line.pack(content, message_id=name, files=files)
        try:
            # Of ebMS nobody can ask what waits: what was there before comes too, and is shown.
            looks = plan.wait and way.collector is not None and plan.to.scheme != "ebms"
            known = set(await way.collector.waiting()) if looks and way.collector is not None else set()
        except LineError as error:
            return _Sent(Submission(error.stage, error.code, error.text), [])
        submission = await way.line.submit(packet)
        problem = ""
        if submission.accepted and plan.wait and way.awaits:
            try:
                await _answers(plan, system, way, known)
            except LineError as error:
                problem = f"{plan.fetch or plan.to}: {error}"
        return _Sent(submission, system.arrivals, problem)


async def _collect(plan: _Plan) -> list[Arrival]:
    system = InHouseSystem(catalogue())
    async with contextlib.AsyncExitStack() as stack:
        way = await _opened(plan, system, stack)
        if way.collector is None:
            raise SetupFailed(f"{plan.to}: the agreement has no pull; letters are posted to --listen of `sekisho send`")
        await _answers(plan, system, way, set())
        return system.arrivals


async def _answers(plan: _Plan, system: InHouseSystem, way: _Way, known: set[str]) -> None:
    """Wait for letters until no further one comes for a moment, or the time is over. Raises :class:`LineError`."""
    end, count, last = time.monotonic() + plan.wait, 0, 0.0
    while True:
        if way.collector is not None:
            for letter in await way.collector.collect(known, leave=plan.leave):
                (known.discard if letter.removed else known.add)(letter.name)
                door = plan.fetch or plan.to
                system.take_in(letter.content, box=way.box, transport_id=letter.transport_id, line=door.scheme)
        now = time.monotonic()
        if len(system.arrivals) > count:
            count, last = len(system.arrivals), now
        if now >= end or (count and now - last >= _QUIET):
            return
        step = _LOOK if way.collector is not None else _QUIET
        await system.wait(partial(_more_than, count), min(step, end - now))


def _more_than(known: int, arrivals: Sequence[Arrival]) -> bool:
    return len(arrivals) > known
