"""Taking ebMS messages in: the gateway against a bare aiohttp endpoint that reads the body and answers.

The gateway reads and judges the message, keeps it durably and answers with an Acknowledgment after the synced commit;
as for SMTP (G4) accepting is measured with nothing processed yet, and once more with the request (TCC) processed in
that commit and its reply in the box. The bare endpoint is what an aiohttp user writes: an application with a route that
reads the body and answers as many bytes; it keeps nothing. Each runs alone in a process on uvloop and they take turns
under the same load (``http_load.py``, this process) over kept-alive connections; only the ratios count. ::

    python benchmarks/ebms_accept.py [--short]

The messages of one sender differ in ids, times and names of parts, which is what the reader's forms live on; a line of
its own has messages of which no two are alike otherwise, so that each is read in full.

Signed messages (RSA-2048, one payload, signed Acknowledgment) stand beside python-xmlsec by itself on the same messages
(``plain_xmlsec.py``); messages of 700 KB have no peer and stand beside the small ones of the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from http_load import load
from lxml import etree
from serving import Server, _started, user_id

from sekisho.codecs.ebms.names import ACKNOWLEDGMENT, DS, MSH_SERVICE
from sekisho.codecs.ebms.package import split
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.signing import Signer
from sekisho.codecs.ebms.values import (
    Acknowledgment,
    AckRequested,
    Description,
    EbMessage,
    Header,
    Party,
    PartyId,
    Payload,
    Service,
    SyncReply,
)
from sekisho.codecs.ebms.writing import write

__all__ = ["measure"]

HERE = Path(__file__).parent
FLOOR = 0.3
CONNECTIONS = 20
BARE_TIMES = 6
"""How often the bare endpoint gets the same messages, so that both sides are measured for as long."""
ANSWER = 1_300
"""Bytes of an Acknowledgment."""
_US, _THEM = Party((PartyId("urn:bench:centre"),)), Party((PartyId("urn:bench:partner"),))
_PROFILE = """
[[ebms]]
name = "{name}"
box = "BEN0"
cpa_id = "urn:bench:{name}"
us = {{ ids = [{{ value = "urn:bench:centre" }}] }}
them = {{ ids = [{{ value = "urn:bench:partner" }}] }}
action = [{{ service = "urn:bench:service", action = "Request", direction = "in" }}]
sync_reply = "mshSignalsOnly"
plain = true
"""
_SIGNED = """signature = "require"
signing_key = "ours.key"
signing_certificate = "ours.pem"
signing_certificates = ["theirs.pem"]
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the result: its name, the ratio, its floor (0: none), and what stands on both sides."""

    name: str
    ratio: float
    floor: float
    text: str


def _keys(folder: Path, name: str) -> Signer:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    shown = made.public_bytes(Encoding.PEM)
    (folder / f"{name}.key").write_bytes(plain)
    (folder / f"{name}.pem").write_bytes(shown)
    return Signer(plain, shown)


def _content(number: int, size: int) -> bytes:
    """A link check (TCC) that no other one equals; what ``size`` asks for beyond that is a file beside it."""
    tag = f"E{number:09d}"
    body = f"{'HELLO':<50}\r\n{'':50}\r\n \r\n"
    text = (
        f"   {'TCC':<5}{'':21}{user_id(0)}{'SAMPLE01':<8}{'':174}{tag:<26}{'':8}{tag:<10}{'':100} 2{'':27}"
        f"{400 + len(body):06d}\r\n{body}"
    )
    return text.encode("ascii")[: max(size, 400 + len(body))]


def _request(number: int, size: int, signer: Signer | None, *, shape: bool = False) -> bytes:
    """A whole HTTP request. With ``shape`` it differs from all others in more than values that a form leaves open."""
    message_id = f"{time.time_ns():x}.{number}@partner.EXAMPLE"
    payloads = [Payload(f"part-1.{number}@partner.EXAMPLE", "text/plain", _content(number, size))]
    if size > 100_000:
        payloads.append(Payload(f"part-2.{number}@partner.EXAMPLE", "application/octet-stream", bytes(size)))
    message = EbMessage(
        Header(
            sender=_THEM,
            receiver=_US,
            cpa_id="urn:bench:signed" if signer is not None else "urn:bench:plain",
            conversation=message_id,
            service=Service("urn:bench:service"),
            action="Request",
            message_id=message_id,
            timestamp=dt.datetime.now(dt.UTC),
            duplicate_elimination=True,
            descriptions=(Description(f"message {number}"),) if shape else (),
        ),
        ack_requested=AckRequested(signed=signer is not None),
        sync_reply=SyncReply(),
        payloads=tuple(payloads),
    )
    wire = write(message, boundary="=_bench", content_id="soap@partner.EXAMPLE", signer=signer)
    head = (
        'POST /ebms HTTP/1.1\r\nHost: localhost\r\nSOAPAction: "ebXML"\r\n'
        f"Content-Type: {wire.content_type}\r\nContent-Length: {len(wire.body)}\r\n\r\n"
    )
    return head.encode("ascii") + wire.body


def _settings(folder: Path) -> Path:
    (folder / "registry.toml").write_text(
        f'[[user]]\nid = "{user_id(0)}"\npassword = "SAMPLE01"\nbox = "BEN0"\n'
        '[[box]]\nid = "BEN0"\naddress = "BEN0@SMTP.BENCH.SEKISHO.EXAMPLE"\ndoors = []\n',
        "utf-8",
    )
    path = folder / "gateway.toml"
    path.write_text(
        f'[registry]\nseed = "registry.toml"\n[gateway]\ndata = "{folder}/var"\n[log]\nlevel = "error"\n'
        '[limits]\nconnections_address = 500\nconnections_partner = 500\nfree_disk_bytes = 100_000_000\n'
        '[[listener]]\nname = "ebms"\nkind = "http"\naddress = "127.0.0.1:0"\n'
        + _PROFILE.format(name="plain")
        + _PROFILE.format(name="signed")
        + _SIGNED,
        "utf-8",
    )
    return path


async def _bare() -> None:
    """The peer: an aiohttp endpoint that reads a body and answers."""

    async def posted(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=bytes(ANSWER), content_type="text/xml")

    application = web.Application(client_max_size=0)
    application.router.add_post("/ebms", posted)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(json.dumps({"listeners": {"ebms": f"{host}:{port}"}}), flush=True)
    await asyncio.Event().wait()


def _write_signed(folder: Path, requests: list[bytes], ours: Signer) -> None:
    """The same messages for python-xmlsec by itself, and the Acknowledgment that it fills in and signs."""
    rows = []
    message = None
    for request in requests:
        head, _, body = request.partition(b"\r\n\r\n")
        content_type = next(line for line in head.decode().split("\r\n") if line.startswith("Content-Type: "))[14:]
        package = split(content_type, body)
        part = package.parts[0]
        rows.append((package.soap.decode(), f"cid:{part.content_id}", part.content.decode()))
        message = message or read(content_type, body)
    if message is None:
        raise ValueError("no requests")
    header = message.header
    said = EbMessage(
        Header(
            sender=_US,
            receiver=_THEM,
            cpa_id=header.cpa_id,
            conversation=header.conversation,
            service=Service(MSH_SERVICE),
            action=ACKNOWLEDGMENT,
            message_id="ack@centre.EXAMPLE",
            timestamp=header.timestamp,
            ref_to=header.message_id,
        ),
        acknowledgment=Acknowledgment(header.timestamp, header.message_id, _US, message.digests),
    )
    root = etree.fromstring(write(said, boundary="=_b", content_id="soap@centre.EXAMPLE", signer=ours).body)
    for name in ("DigestValue", "SignatureValue"):
        for element in root.findall(f"*/{{{DS}}}Signature//{{{DS}}}{name}"):
            element.text = None
    (folder / "receipt.xml").write_bytes(etree.tostring(root))
    (folder / "signed.json").write_text(json.dumps(rows), "utf-8")


def _plain_xmlsec(folder: Path) -> float:
    command = [sys.executable, str(HERE / "plain_xmlsec.py"), str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(*, short: bool = False) -> list[Line]:
    """The lines of one run; the candidates take turns, and the first round is thrown away."""
    rounds, messages = (5, 600) if short else (9, 1_500)
    rates: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="ebms-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)

        def start(kind: str, name: str = "") -> Server:
            own = folder / (name or kind)
            own.mkdir()
            for each in folder.glob("*.[kp]e[ym]"):
                (own / each.name).write_bytes(each.read_bytes())
            _settings(own)
            script = "ebms_accept.py" if kind == "--bare" else "serving.py"
            return stack.enter_context(_started([sys.executable, str(HERE / script), kind, str(own)], own))

        ours, theirs = _keys(folder, "ours"), _keys(folder, "theirs")
        bare, journal, whole = start("--bare"), start("journal-only"), start("gateway")
        beside = start("journal-only", "beside")  # large messages leave a log behind that is copied back later
        for turn in range(rounds + 1):
            first = turn * messages * 2
            signed = [_request(first + n, 0, theirs) for n in range(messages // 10)]
            small = [_request(first + messages + n, 0, None) for n in range(messages)]
            other = [_request(first + messages + n, 0, None, shape=True) for n in range(messages)]
            loads = {
                "bare": (bare, small * BARE_TIMES),
                "accept": (journal, small),
                "unlike": (beside, other),
                "processed": (whole, small),
                "signed": (beside, signed),
                "large": (beside, [_request(first + n, 700_000, None) for n in range(messages // 20)]),
            }
            for which, (server, requests) in loads.items():
                before = server.cpu()
                rate = load((server.host, server.port), requests, connections=CONNECTIONS, unwanted=b"MessageError")
                if turn:
                    rates.setdefault(which, []).append(rate)
                    spent.setdefault(which, []).append((server.cpu() - before) / len(requests))
            _write_signed(folder, signed, ours)
            rate = _plain_xmlsec(folder)
            if turn:
                rates.setdefault("xmlsec", []).append(rate)
    middle = {which: statistics.median(values) for which, values in rates.items()}
    cost = {which: statistics.median(values) * 1e6 for which, values in spent.items()}

    def ratio(which: str, to: str) -> float:
        return statistics.median(a / b for a, b in zip(rates[which], rates[to], strict=True))

    return [
        Line("ebMS unsigned", ratio("accept", "bare"), FLOOR,
             f"durable accept {middle['accept']:.0f}/s : bare endpoint {middle['bare']:.0f}/s"),
        Line("  processor", cost["bare"] / cost["accept"], 0,
             f"bare endpoint {cost['bare']:.0f} us : accept {cost['accept']:.0f} us a message"),
        Line("  no two alike", ratio("unlike", "bare"), 0,
             f"each read in full {middle['unlike']:.0f}/s ({cost['unlike']:.0f} us) : "
             f"bare endpoint {middle['bare']:.0f}/s"),
        Line("  processed too", ratio("processed", "bare"), 0,
             f"{middle['processed']:.0f}/s ({cost['processed']:.0f} us) : bare endpoint {middle['bare']:.0f}/s"),
        Line("ebMS signed", ratio("signed", "xmlsec"), 0,
             f"verified, kept, signed {middle['signed']:.0f}/s : python-xmlsec alone {middle['xmlsec']:.0f}/s"),
        Line("ebMS 700 KB", ratio("large", "accept"), 0,
             f"700 KB {middle['large']:.0f}/s : 1.5 KB {middle['accept']:.0f}/s"),
    ]  # fmt: skip


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--short", action="store_true", help="three smaller rounds")
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        uvloop.run(_bare())
        return
    for line in measure(short=options.short):
        floor = f"(floor {line.floor:g})" if line.floor else ""
        print(f"{line.name:<16} {line.ratio:6.2f} {floor:<12} {line.text}")


if __name__ == "__main__":
    main()
