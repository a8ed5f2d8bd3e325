"""A healthy sender and a healthy fetcher, in a process of their own: what they wait for their answers.

Run as a program, with nothing but the standard library: ``healthy_peers.py SMTP-PORT POP3-PORT MAIL-FILE BOX
PASSWORD``. For each line ``MAILS FETCHES`` on standard input it sends so many mails over one connection, collects one
letter so often (without deleting it), and prints the seconds of each as one JSON object. ``@ID@`` in the mail becomes
another Message-ID each time.
"""

from __future__ import annotations

import json
import poplib
import smtplib
import sys
import time
from pathlib import Path

SENDER, CENTRE = "2BKOU1@SMTP.FORWARDER.SEKISHO.EXAMPLE", "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
_PAUSE = 0.004
"""Seconds between two: a window is to last, not to load."""


def _send(line: smtplib.SMTP, mail: bytes) -> float:
    began = time.perf_counter()
    for verb, argument in (("mail", SENDER), ("rcpt", CENTRE), ("data", mail)):
        code, text = getattr(line, verb)(argument)
        if code != 250:
            raise RuntimeError(f"a healthy sender was answered {code} {text!r}")
    return time.perf_counter() - began


def _fetch(port: int, box: str, password: str) -> float:
    began = time.perf_counter()
    session = poplib.POP3("127.0.0.1", port, timeout=20)
    session.user(box)
    session.pass_(password)
    if not session.retr(1)[1]:
        raise RuntimeError("a healthy fetcher got an empty letter")
    session.quit()
    return time.perf_counter() - began


def main() -> None:
    """Serve standard input to its end."""
    smtp, pop3, file, box, password = sys.argv[1:]
    mail = Path(file).read_bytes()
    number = 0
    for order in sys.stdin:
        mails, fetches = map(int, order.split())
        waits: dict[str, list[float]] = {"mails": [], "fetches": []}
        with smtplib.SMTP("127.0.0.1", int(smtp), timeout=20) as line:
            line.ehlo("healthy.EXAMPLE")
            for at in range(mails):
                number += 1
                waits["mails"].append(_send(line, mail.replace(b"@ID@", b"%d" % number)))
                if at * fetches // mails != (at + 1) * fetches // mails:
                    waits["fetches"].append(_fetch(int(pop3), box, password))
                time.sleep(_PAUSE)
        sys.stdout.write(f"{json.dumps(waits)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
