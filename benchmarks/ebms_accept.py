"""Taking ebMS messages in: the gateway against a bare aiohttp endpoint that reads the body and answers.

The gateway reads and judges the message, keeps it durably, processes its request (TCC) and answers with an
Acknowledgment; the bare endpoint answers as many bytes and keeps nothing. Both run alone in a process on uvloop and
take turns under the same load, which this process makes over kept-alive connections; only the ratios count. ::

    python benchmarks/ebms_accept.py [--short]

Signed messages (RSA-2048, one payload, signed Acknowledgment) and messages of 700 KB have no peer: their rates are
given beside the unsigned ones of the same run.
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from serving import user_id

from sekisho.codecs.ebms.signing import Signer
from sekisho.codecs.ebms.values import AckRequested, EbMessage, Header, Party, PartyId, Payload, Service, SyncReply
from sekisho.codecs.ebms.writing import write

__all__ = ["measure"]

HERE = Path(__file__).parent
FLOOR = 0.3
CONNECTIONS = 10
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


def _request(number: int, size: int, signer: Signer | None) -> bytes:
    """A whole HTTP request."""
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


async def _connection(address: tuple[str, int], requests: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(head.decode("latin-1"))
        at = head.index(b"Content-Length: ") + 16
        said = await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        if b"MessageError" in said:
            raise RuntimeError(said.decode())
    writer.close()


def _rate(address: tuple[str, int], requests: list[bytes]) -> float:
    """Messages per second over :data:`CONNECTIONS` connections."""

    async def run() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(_connection(address, requests[n::CONNECTIONS]) for n in range(CONNECTIONS)))
        return len(requests) / (time.perf_counter() - began)

    return uvloop.run(run())


@contextlib.contextmanager
def _started(command: list[str], folder: Path) -> Iterator[tuple[str, int]]:
    with (folder / "log").open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        line = process.stdout.readline()
        if not line:
            raise RuntimeError((folder / "log").read_text())
        host, _, port = json.loads(line)["listeners"]["ebms"].rpartition(":")
        yield host, int(port)
    finally:
        process.terminate()
        process.wait(30)


def _settings(folder: Path) -> Path:
    (folder / "registry.toml").write_text(
        f'[[user]]\nid = "{user_id(0)}"\npassword = "SAMPLE01"\nbox = "BEN0"\n'
        '[[box]]\nid = "BEN0"\naddress = "BEN0@SMTP.BENCH.SEKISHO.EXAMPLE"\ndoors = []\n',
        "utf-8",
    )
    path = folder / "gateway.toml"
    path.write_text(
        f'[registry]\nseed = "registry.toml"\n[gateway]\ndata = "{folder}/var"\n[log]\nlevel = "error"\n'
        '[limits]\nconnections_address = 500\nconnections_partner = 500\n'
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


def measure(*, short: bool = False) -> list[Line]:
    """The lines of one run; the candidates take turns, and the first round is thrown away."""
    rounds, messages = (3, 400) if short else (5, 1_500)
    rates: dict[str, list[float]] = {"bare": [], "gateway": [], "signed": [], "large": []}
    with tempfile.TemporaryDirectory(prefix="ebms-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        _keys(folder, "ours")
        signer = _keys(folder, "theirs")
        settings = _settings(folder)
        bare = stack.enter_context(_started([sys.executable, str(HERE / "ebms_accept.py"), "--bare"], folder))
        program = str(Path(sys.executable).with_name("sekisho"))
        ours = stack.enter_context(_started([program, "serve", "-c", str(settings)], folder))
        for turn in range(rounds + 1):
            first = turn * messages * 4
            loads = {
                "bare": (bare, [_request(first + n, 0, None) for n in range(messages)]),
                "gateway": (ours, [_request(first + n, 0, None) for n in range(messages)]),
                "signed": (ours, [_request(first + n, 0, signer) for n in range(messages // 10)]),
                "large": (ours, [_request(first + n, 700_000, None) for n in range(messages // 20)]),
            }
            for which, (address, requests) in loads.items():
                rate = _rate(address, requests)
                if turn:
                    rates[which].append(rate)
    middle = {which: statistics.median(values) for which, values in rates.items()}

    def ratio(which: str, to: str) -> float:
        return statistics.median(a / b for a, b in zip(rates[which], rates[to], strict=True))

    return [
        Line("ebMS unsigned", ratio("gateway", "bare"), FLOOR,
             f"durable accept {middle['gateway']:.0f}/s : bare endpoint {middle['bare']:.0f}/s"),
        Line("ebMS signed", ratio("signed", "gateway"), 0,
             f"verified and signed {middle['signed']:.0f}/s : unsigned {middle['gateway']:.0f}/s"),
        Line("ebMS 700 KB", ratio("large", "gateway"), 0,
             f"700 KB {middle['large']:.0f}/s : 1.5 KB {middle['gateway']:.0f}/s"),
    ]  # fmt: skip


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--short", action="store_true", help="three smaller rounds")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        uvloop.run(_bare())
        return
    for line in measure(short=options.short):
        floor = f"(floor {line.floor:g})" if line.floor else ""
        print(f"{line.name:<16} {line.ratio:6.2f} {floor:<12} {line.text}")


if __name__ == "__main__":
    main()
