"""Running the real commands in this process, and a store with something in it to run them on."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from click.testing import CliRunner

from sekisho.codecs.message import from_json
from sekisho.gateway.cli import main
from sekisho.gateway.registry import seed
from sekisho.handlers.tables import catalogue
from sekisho.mailboxes import Unit, open_store
from sekisho.mailboxes.letters import Mark, NewLetter, NewRequest, RequestState

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = ROOT / "samples" / "registry.toml"
NOON = 1_759_287_600_000_000
"""2025-10-01 12:00:00 Japan time."""
MINUTE = 60_000_000


@dataclass(frozen=True)
class Ran:
    """How a command ended: exit code, standard output as bytes, standard error as text."""

    code: int
    data: bytes
    err: str

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.data.decode("utf-8")

    @property
    def lines(self) -> list[str]:
        """Standard output by line."""
        return self.out.splitlines()

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """Standard output as JSON."""
        return json.loads(self.data)


def sekisho(*args: str | Path, stdin: bytes = b"") -> Ran:
    """Run ``sekisho`` with these arguments; an exception that a user would see as a traceback is raised."""
    before = structlog.get_config() if structlog.is_configured() else None
    try:
        result = CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)
    finally:
        # A command sets up the log for its process; here that is the test's.
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout_bytes, result.stderr)


def message(business: str, items: Mapping[str, str | list[str]], **header: str) -> bytes:
    """The bytes of a request (or, with an output_code, a reply), items at full width."""
    values = {"business_code": business, "user_code": "1ANAC"} | header
    reply = "output_code" in header
    if not reply:
        values = {"user_seq": "A0A", "password": "SAMPLE01", "system": "2"} | values
    rows = []
    for id_, value in items.items():
        if isinstance(value, list):
            rows += [{"id": id_, "row": row, "value": one} for row, one in enumerate(value, 1)]
        else:
            rows.append({"id": id_, "row": None, "value": value})
    form = {"direction": "reply" if reply else "request", "header": values, "items": rows}
    return from_json(form, catalogue())


OLA = message(
    "OLA",
    {"KND": "9", "BYA": "31", "OBJ": "SHI", "NTA": "機械部品　１", "CG_": ["SMPLBL0001", "SMPLBL0002"]},
    carry="CARRY-1",
    input_id="IN0001",
)
URY = message("URY", {"KND": "C", "RID": "1ANACA0A", "PW1": "NEWPASS1", "PW2": "NEWPASS1"})


def fill(unit: Unit) -> None:
    """Three requests and four letters.

    r1 OLA as a plain mail, with its notice (1) and SAS1360 (2); r2 URY in a base64 mail, with its notice (3, delivered)
    and a temporary password (4); r3 a header that is one byte short, in quarantine.
    """
    seed(unit, REGISTRY, lambda password: f"hash of {password}", NOON)
    mails = (
        (b"Content-Type: text/plain\r\nMessage-ID: <1@x>\r\n\r\n" + OLA, OLA, "OLA"),
        (b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(URY), URY, "URY"),
        (b"Message-ID: <3@x>\r\n\r\n" + OLA[1:], OLA[1:], ""),
    )
    for at, (raw, content, business) in enumerate(mails):
        number = unit.journal(
            NewRequest(
                lane="1ANACA0A", idem=f"id {at}", transport="two-way", principal="1ANAC1",
                received_at=NOON + at * MINUTE, peer="127.0.0.1:4",
                sender="1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE", recipient="NACCS@CENTRE.EXAMPLE",
                raw=raw, content=content, wrapping="mail", transport_id=f"<{at + 1}@x>", user_id="1ANACA0A",
                business_code=business, carry="CARRY-1", input_id="IN0001",
            )
        )  # fmt: skip
        result = "A0016-0000-0000" if not business else "00000-0000-0000"
        unit.finish(number, state=RequestState.DONE, result=result, key="", at=NOON + at * MINUTE)
    unit.quarantine(3, "A0016", NOON + 2 * MINUTE)
    notice = {"RES": "00000-0000-0000"}
    letters = (
        (1, 0, "OLA", "*SOLA", "R", notice),
        (1, 1, "OLA", "SAS1360", "C", {"OLT": "00000000011", "NTA": "機械部品　１"}),
        (2, 0, "URY", "*CURY", "R", notice),
        (2, 1, "URY", "CZURY", "C", notice | {"RID": "1ANACA0B", "PWT": "SECRET99"}),
    )
    for request, part, business, output, kind, items in letters:
        content = message(business, items, output_code=output, kind=kind, part=f"{part:03d}", last="E", form="Q")
        unit.add_letter(
            NewLetter(
                request=request, part=part, box="BRK001", user_id="1ANACA0A", business_code=business,
                output_code=output, kind=kind, form="Q", subject=f"{output} 00000000011", content=content,
                created_at=NOON + (request - 1) * MINUTE, due_at=NOON,
            )
        )  # fmt: skip
    unit.mark([Mark(3, "delivered", NOON + 3 * MINUTE)])


def make_store(folder: Path) -> Path:
    """A store as :func:`fill` fills it; the folder."""
    store = open_store("sqlite", folder, lambda: NOON)
    try:
        with store.transaction() as unit:
            fill(unit)
    finally:
        store.close()
    return folder
