"""Another process that writes to a store: ``python writer.py FILE TAG COUNT LETTERS`` until it is done or killed.

Each transaction keeps three requests with so many letters; after each commit a line with the numbers is printed. With
``hold`` as fifth argument it stops in the middle of the last transaction, says so, and waits to be killed.
"""

import sys
import time
from pathlib import Path

import structlog

from sekisho.mailboxes.letters import NewLetter, NewRequest
from sekisho.mailboxes.sqlite import SqliteStore


def main(path: str, tag: str, count: str, letters: str, hold: str = "") -> None:
    """See the module's text."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    store = SqliteStore(Path(path), clock_us=lambda: time.time_ns() // 1000)
    for turn in range(int(count)):
        with store.transaction() as unit:
            numbers = []
            for each in range(3):
                idem = f"{tag}-{turn}-{each}"
                raw = idem.encode() * 200
                number = unit.journal(NewRequest("L", idem, "smtp", "P", 1, "127.0.0.1", "a", "b", raw, raw, "mail"))
                for part in range(int(letters)):
                    unit.add_letter(
                        NewLetter(number, part, "B1", "U", "TCC", "*CTCC", "R", "", idem, raw + bytes([part]), 1, 1)
                    )
                unit.put_record("seen", idem, {"number": number}, 1)
                unit.finish(number, state=1, result="00000", key="", at=1)
                numbers.append(number)
            if hold and turn == int(count) - 1:
                unit.requests()
                print("holding", flush=True)  # noqa: T201 - what the test reads
                time.sleep(60)
        print(tag, turn, *numbers, flush=True)  # noqa: T201
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
