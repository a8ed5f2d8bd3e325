"""A whole gateway for tests: real listener on a free loopback port, real store in a temporary folder, real peers.

::

    async with house(tmp_path) as desk:
        arrivals = await desk.ask(desk.request("TCC"))
        assert arrivals[0].message.header.output_code == "*CTCC"

The registry's hashes are made once a run (:func:`_seeded`), because argon2 is slow on purpose.
"""

import asyncio
import atexit
import contextlib
import functools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from sekisho.codecs.layout import Value
from sekisho.gateway.app import Gateway
from sekisho.gateway.directory import Directory
from sekisho.gateway.inhouse import Arrival, InHouseSystem, Submission, build_mail, build_request, submit
from sekisho.gateway.passwords import hash_password
from sekisho.gateway.settings import Settings, load
from sekisho.handlers import HANDLERS, catalogue
from sekisho.mailboxes.letters import Account, Box, Letter, LetterQuery, Office, Place, Quarantined, Request, Route
from sekisho.mailboxes.sqlite import SqliteStore
from sekisho.mailboxes.store import Store, Unit, View

T = TypeVar("T")

# structlog's own default draws every local variable of a traceback, which takes a second a line.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

CENTRE = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
BROKER = "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE"
OTHER = "2BKOU1@SMTP.FORWARDER.SEKISHO.EXAMPLE"
STRANGER = "WHO@NOWHERE.SEKISHO.EXAMPLE"
PASSWORD = "SAMPLE01"

BOXES = {"BRK": BROKER, "FWD": OTHER, "WHS": "5WHSE1@SMTP.WAREHOUSE.SEKISHO.EXAMPLE"}
"""The boxes that push to the test's in-house system."""


def _accounts(hashed: str) -> list[Account]:
    broker = Account("1ANACA0A", hashed, trade="customs-broker", mail_from=(BROKER,), box="BRK")
    return [
        broker,
        Account("1ANACA0B", hashed, trade="customs-broker", mail_from=(BROKER,), box="BRK"),
        Account("2BKOUB0B", hashed, trade="customs-broker", mail_from=(OTHER,), box="FWD"),
        Account("3TEMPT0T", hashed, "temporary", trade="customs-broker", box="BRK"),
        Account("4SUSPS0S", hashed, trade="customs-broker", box="BRK", suspended=True),
        Account("5WHSEW0W", hashed, trade="warehouse", mail_from=(BOXES["WHS"],), box="WHS"),
        Account("6STRIS0S", hashed, trade="customs-broker", box="BRK", strict=True),
        Account("7TOLET0T", hashed, trade="customs-broker", box="BRK", tolerate_length=True),
    ]


@functools.cache
def _seeded() -> bytes:
    """A store file with the registry below in it."""
    hashed = hash_password(PASSWORD)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed.db")
        store = SqliteStore(path, clock_us=lambda: 1)
        with store.transaction() as unit:
            for name, address in BOXES.items():
                unit.put_box(Box(name, address))
            unit.put_box(Box("SHELF", "SHELF@SMTP.BROKER.SEKISHO.EXAMPLE", ()))
            for account in _accounts(hashed):
                unit.put_account(account)
            unit.put_place(Place("1AW01", "5WHSE", "SAMPLE WAREHOUSE"))
            unit.put_place(Place("9ZZ99", "9NONE", "NOBODY'S PLACE"))
            unit.put_office(Office("1A", "SAMPLE CUSTOMS"))
            unit.put_route(Route("1ANAC", "SAF0010", "WHS"))
        store.close()
        return path.read_bytes()


def store_file(folder: Path) -> Path:
    """Where the gateway of this folder keeps its store."""
    return folder / "var" / "sekisho.db"


def settings_of(folder: Path, toml: str = "") -> Settings:
    """Settings with one listener on a free port; ``toml`` is added (``[gateway]`` and the like are not given yet)."""
    path = folder / "gateway.toml"
    path.write_text(
        f'[[listener]]\nname = "two-way"\naddress = "127.0.0.1:0"\ncentre = ["{CENTRE}"]\n{toml}', encoding="utf-8"
    )
    settings = load(path, folder / "var")
    settings.data.mkdir(exist_ok=True)
    if not store_file(folder).exists():
        store_file(folder).write_bytes(_seeded())
    return settings


@dataclass
class Desk:
    """A running gateway and the in-house system that it pushes to.

    ``started`` is the gateway where it runs in this process, ``process`` where it runs in another one.
    """

    store: Store
    inhouse: InHouseSystem
    listeners: Mapping[str, str]
    started: Gateway | None = None
    process: asyncio.subprocess.Process | None = None

    @property
    def gateway(self) -> Gateway:
        """The gateway in this process."""
        assert self.started is not None
        return self.started

    @property
    def served(self) -> asyncio.subprocess.Process:
        """The gateway in another process."""
        assert self.process is not None
        return self.process

    @property
    def port(self) -> int:
        """The port of the two-way listener."""
        return int(self.listeners["two-way"].rpartition(":")[2])

    def request(
        self,
        code: str,
        *,
        user: str = "1ANACA0A",
        password: str = PASSWORD,
        items: Mapping[str, Value | Sequence[Value]] | None = None,
        body: bytes | None = None,
        header: Mapping[str, str] | None = None,
        carry: str = "",
        input_id: str = "",
    ) -> bytes:
        """A request at full width; ``header`` sets further common items."""
        header = {"carry": carry, "input_id": input_id} | dict(header or {})
        return build_request(
            self.inhouse.catalogue, code, user_id=user, password=password, items=items, body=body, header=header
        )

    async def post(
        self, content: bytes, *, sender: str = BROKER, message_id: str = "", raw: bool = False
    ) -> Submission:
        """Submit one mail on a connection of its own; ``raw``: the content is the whole mail."""
        mail = content if raw else build_mail(content, sender=sender, recipient=CENTRE, message_id=message_id)
        return await submit("127.0.0.1", self.port, mail, sender=sender, recipient=CENTRE)

    async def ask(
        self, content: bytes, count: int = 1, *, sender: str = BROKER, message_id: str = "", raw: bool = False
    ) -> list[Arrival]:
        """Submit, expect 250, and give the ``count`` mails that come in answer."""
        before = len(self.inhouse.arrivals)
        submission = await self.post(content, sender=sender, message_id=message_id, raw=raw)
        assert submission.accepted, submission
        return await self.come(count, before)

    async def come(self, count: int, before: int = 0, seconds: float = 15) -> list[Arrival]:
        """Wait until ``count`` mails have come after the first ``before`` ones, and give those."""
        done = await self.inhouse.wait(lambda arrivals: len(arrivals) >= before + count, seconds)
        assert done, f"{len(self.inhouse.arrivals) - before} of {count} came"
        return self.inhouse.arrivals[before:]

    async def until(self, holds: Callable[[View], T], seconds: float = 15) -> T:
        """Wait until something holds of the committed store, and give it."""
        async with asyncio.timeout(seconds):
            while True:
                found = self.read(holds)
                if found:
                    return found
                await asyncio.sleep(0.01)

    async def processed(self, count: int) -> None:
        """Wait until so many requests are in the journal and all are processed."""
        await self.until(lambda view: len(view.requests(100_000)) >= count and not view.received())

    def read(self, read: Callable[[View], T]) -> T:
        """Something of the committed store."""
        with self.store.view() as view:
            return read(view)

    async def write(self, write: Callable[[Unit], T]) -> T:
        """Change the store through the clerk, as this process does."""
        return await asyncio.wrap_future(self.gateway.clerk.call(write))

    def letters(self, box: str = "", *, states: tuple[str, ...] = ()) -> list[Letter]:
        """Letters of a box, oldest first."""
        query = LetterQuery(box=box, states=states, oldest_first=True, limit=10_000)
        return self.read(lambda view: view.letters(query))

    @property
    def requests(self) -> list[Request]:
        """The journal, oldest first."""
        return self.read(lambda view: view.requests(100_000))[::-1]

    @property
    def quarantine(self) -> list[Quarantined]:
        """What lies in quarantine, oldest first."""
        return self.read(lambda view: view.quarantined())[::-1]

    def events(self, kind: str) -> list[str]:
        """The details of the audit events of a kind."""
        return [event.detail for event in self.read(lambda view: view.events(limit=1000)) if event.kind == kind]


def _prepared(folder: Path, push: str, change: Callable[[Unit], object] | None) -> None:
    store = SqliteStore(store_file(folder), clock_us=lambda: 1)
    with store.transaction() as unit:
        for name in BOXES:
            box = unit.box(name)
            assert box is not None
            unit.put_box(Box(name, box.address, push=push))
        if change is not None:
            change(unit)
    store.close()


@contextlib.asynccontextmanager
async def house(
    folder: Path,
    toml: str = "",
    *,
    push: str | None = None,
    change: Callable[[Unit], object] | None = None,
    store: Callable[[Path], Store] | None = None,
) -> AsyncIterator[Desk]:
    """A gateway that runs inside the block.

    ``push`` is where the boxes push to (default: the in-house system that comes with it); ``change`` writes to the
    store before the gateway starts; ``store`` opens another kind of store. The same folder again is a restart.
    """
    settings = settings_of(folder, toml)
    async with InHouseSystem(catalogue(7, tuple(settings.gateway.handlers))) as inhouse:
        _prepared(folder, inhouse.address if push is None else push, change)
        gateway = Gateway(settings, store(store_file(folder))) if store else Gateway(settings)
        listeners = await gateway.start()
        try:
            yield Desk(gateway.store, inhouse, listeners, gateway)
        finally:
            await gateway.stop()
            _take_back()


@contextlib.asynccontextmanager
async def served(
    folder: Path, toml: str = "", *, push: str | None = None, program: Sequence[str] = ()
) -> AsyncIterator[Desk]:
    """``sekisho serve`` in a process of its own; its log goes to ``log`` in the folder. Ended by SIGTERM if it runs.

    ``program`` is run in place of ``sekisho``, with the same arguments.
    """
    settings = settings_of(folder, toml)
    async with InHouseSystem(catalogue(7, tuple(settings.gateway.handlers))) as inhouse:
        _prepared(folder, inhouse.address if push is None else push, None)
        command = [*(program or [str(Path(sys.executable).with_name("sekisho"))]), "serve", "-c"]
        command += [str(folder / "gateway.toml"), "--data", str(folder / "var")]
        with (folder / "log").open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if "sekisho-extra-" in path)},
            )
        store = None
        try:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), 30)
            assert line, (folder / "log").read_text()
            store = SqliteStore(store_file(folder), clock_us=lambda: 1)
            yield Desk(store, inhouse, json.loads(line)["listeners"], process=process)
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), 30)
            if store is not None:
                store.close()
            _take_back()


def result_of(arrival: Arrival) -> str:
    """The first result code of a notice, without item and row."""
    return arrival.content[400:405].decode("ascii")


def results_of(arrival: Arrival) -> list[str]:
    """All result codes of a notice (15 characters each)."""
    block = arrival.content[400:475].decode("ascii")
    return [block[at : at + 15] for at in range(0, 75, 15) if block[at : at + 15].strip()]


def forgetful(directory: Directory) -> int:
    """How many answers a directory remembers."""
    return sum(len(value) for value in vars(directory).values() if isinstance(value, dict))


EXTRA = '''
"""Business codes for tests: each does one thing that the house has to cope with."""

import time

from sekisho.codecs.results import Refusal, ResultCode
from sekisho.handlers import Originator, Outcome, Output, Party, handles, refuse

COPY = {"RES": "", "O01": "one", "O02": "two"}


def _wrote(message, context):
    text = message.record.text("TXT")
    context.records.put("extra", text, {"n": context.numbers.next("extra")})
    return text


@handles("XBOOM")
def boom(message, context):
    password = "LOCAL-VALUE-" + _wrote(message, context)
    context.accounts.change(context.user.id, "CHANGED1")
    raise RuntimeError("broken inside")


@handles("XPUT")
def put(message, context):
    _wrote(message, context)
    return Outcome(key=context.numbers.next("extra"))


@handles("XREFU")
def refused(message, context):
    _wrote(message, context)
    raise refuse(ResultCode("E0031", "TXT"), ResultCode("E0032"), key="KEY00000001")


@handles("XMUTE")
def mute(message, context):
    _wrote(message, context)
    raise Refusal([])


@handles("XTABL")
def no_table(message, context):
    _wrote(message, context)
    return Outcome(outputs=(Output("NOTABLE", "C", {}),))


@handles("XEXC")
def to_others(message, context):
    place = message.record.text("TXT")
    copy = {"layout": "TCC.out", "subject": "S"}
    return Outcome(outputs=(
        Output("SAS0411", "P", COPY, Party(place=place), **copy),
        Output("SAF0010", "P", COPY, Party(user_code="1ANAC"), **copy),
        Output("SAF0021", "P", COPY, **copy),
    ))


@handles("XEXZ")
def to_originator(message, context):
    request = int(message.record.text("TXT"))
    copy = {"layout": "TCC.out", "subject": "S"}
    return Outcome(outputs=(Output("SAF0010", "P", COPY, Originator("1ANACA0B", request), **copy),))


@handles("XSLOW", slow=True)
def slow(message, context):
    time.sleep(float(message.record.text("TXT") or "0"))
    return Outcome()
'''

_TABLE = "# code: {code}\n# title: {code}\n# system: sea\n# direction: in\n# source: ours\n# generation: 6,7\n"
_ITEM = "no\tname\tid\tkind\tsize\tgroup\trepeat\trequired\tsecret\tnote\n2\tテキスト\tTXT\tsn\t20\t\t\tC\t\t\n"
_KINDS = {"XBOOM": "C", "XPUT": "C", "XREFU": "C", "XMUTE": "C", "XTABL": "C", "XEXC": "C", "XEXZ": "C", "XSLOW": "T"}


@functools.cache
def extra_codes() -> str:
    """Settings that add the business codes of :data:`EXTRA`; each takes one item TXT."""
    folder = Path(tempfile.mkdtemp(prefix="sekisho-extra-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    package = folder / "sekisho_extra"
    (package / "layouts").mkdir(parents=True)
    (package / "__init__.py").write_text(EXTRA, "utf-8")
    rows = ["code\ttitle\tgloss\tsystem\tkind\tgroup\ttable\tlong\tweb"]
    for code, kind in _KINDS.items():
        rows.append(f"{code}\t{code}\t{code}\tsea\t{kind}\tTests\t\t\t")
        (package / "layouts" / f"{code}.in.tsv").write_text(_TABLE.format(code=code) + _ITEM, "utf-8")
    (package / "codes.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    sys.path.append(str(folder))
    return '[gateway]\nhandlers = ["sekisho_extra"]\n'


def _take_back() -> None:
    """Unregister the extra codes: the list of handlers is one for the process, and other tests read it."""
    sys.modules.pop("sekisho_extra", None)
    for code in _KINDS:
        HANDLERS.pop(code, None)
