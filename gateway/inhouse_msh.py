"""The ebMS line of an in-house system over HTTP: it posts, pulls, and has an endpoint that letters are posted to.

*Strategy.* aiohttp, and the values of ``inhouse_ebms``. Everything that is sent is kept with what was signed in it, so
that an Acknowledgment can be compared; the first answer to a message is kept too, because a repeat has to get the same
bytes. A letter that came is kept before it is acknowledged, and one that comes again is acknowledged again and not
kept twice.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp import web

from sekisho.codecs.ebms.signing import same_references
from sekisho.codecs.ebms.values import EbFault, EbMessage, SignedReference
from sekisho.codecs.envelope import Attachment
from sekisho.gateway.inhouse import InHouseSystem, Submission, split_address
from sekisho.gateway.inhouse_doors import Access, Fetched, LineError, Packet, client_context
from sekisho.gateway.inhouse_ebms import Agreement

__all__ = ["EbmsCollector", "EbmsEnd", "EbmsLine", "Poster"]

_PATH: Final = "/msh"
_SECONDS: Final = 30.0
_MOST: Final = 33_554_432
"""Largest body taken: an over-long letter is shown and not refused."""
_LETTERS: Final = 1000
"""Letters pulled in one visit."""


Poster = Callable[[str, Access, Mapping[str, str], bytes], Awaitable[tuple[int, str, bytes]]]
"""Posts to a URL with headers and a body: status, Content-Type and body of the answer. Raises :class:`LineError`."""


class EbmsEnd:
    """The HTTP side: one client session, and an endpoint. An async context manager: it listens inside the block.

    ``listen`` is ``host:port``, port 0 for any free one; ``url`` says which it became. Letters become arrivals of
    ``system``. :meth:`agree` says with whom is spoken. ``poster`` posts in our client's stead.
    """

    def __init__(
        self, system: InHouseSystem, listen: str = "127.0.0.1:0", *, poster: Poster | None = None
    ) -> None:
        self.poster = poster or self._post
        self._system = system
        self._listen = split_address(listen, 0)
        self._lines: list[EbmsLine] = []
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=_MOST)
        application.router.add_post(_PATH, self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, *self._listen).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_SECONDS), auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where the centre may post to. Raises RuntimeError outside the block."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the ebMS endpoint is not listening")
        host, port = self._runner.addresses[0][:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}{_PATH}"

    def agree(self, agreement: Agreement, access: Access, *, box: str = "") -> EbmsLine:
        """Speak with a centre by an agreement; ``box`` is what its letters' box is called in arrivals."""
        line = EbmsLine(self, agreement, access, box=box or agreement.agreed.box)
        self._lines.append(line)
        return line

    async def _post(
        self, url: str, access: Access, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str, bytes]:
        """One HTTP request: status, Content-Type and body of the answer. Raises :class:`LineError`."""
        if self._session is None:
            raise LineError("connect", "the ebMS line is not open")
        if access.box and access.password:
            secret = base64.b64encode(f"{access.box}:{access.password}".encode()).decode("ascii")
            headers = {**headers, "Authorization": f"Basic {secret}"}
        tls = client_context(access) if access.tls == "implicit" else True
        try:
            async with self._session.post(
                url, data=body, headers=headers, ssl=tls, allow_redirects=False
            ) as response:
                answer = await _bounded(response)
                return response.status, response.headers.get("Content-Type", ""), answer
        except TimeoutError:
            raise LineError("answer", "no answer in time") from None
        except aiohttp.ClientConnectorCertificateError:
            text = "the centre's certificate is not trusted; name its issuer with --trust"
            raise LineError("tls", text) from None
        except aiohttp.ClientConnectorError as error:
            raise LineError("connect", error.os_error.strerror or str(error.os_error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise LineError("answer", str(error) or type(error).__name__) from None

    def arrive(self, message: EbMessage, box: str) -> None:
        """Keep a letter."""
        for payload in message.payloads[:1]:
            self._system.take_in(
                payload.content,
                box=box,
                sender=message.header.sender.ids[0].value,
                transport_id=message.header.message_id,
                line="ebms",
            )

    async def _serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        refused = "nobody is known here"
        for line in self._lines:
            try:
                return await line.hear(request.headers.get("Content-Type", ""), body)
            except EbFault as error:
                refused = str(error)
        return web.Response(status=500, text=refused)


class EbmsLine:
    """Posts; see :class:`~sekisho.gateway.inhouse_doors.Line`. Made by :meth:`EbmsEnd.agree`.

    ``access`` is the centre's endpoint; ``known`` are the MessageIds of letters that came, with what was said to them.
    """

    def __init__(self, end: EbmsEnd, agreement: Agreement, access: Access, *, box: str) -> None:
        self._end, self._agreement, self.access, self._box = end, agreement, access, box
        self._signed: dict[str, tuple[SignedReference, ...]] = {}
        self._answers: dict[str, bytes] = {}
        self._awaited: dict[str, asyncio.Future[tuple[EbMessage, bytes]]] = {}
        self._told: set[asyncio.Task[None]] = set()
        self.known: dict[str, tuple[str, bytes]] = {}

    @property
    def agreement(self) -> Agreement:
        """What is agreed."""
        return self._agreement

    @property
    def url(self) -> str:
        """The centre's endpoint."""
        access = self.access
        host = f"[{access.host}]" if ":" in access.host else access.host
        return f"{'https' if access.tls == 'implicit' else 'http'}://{host}:{access.port}{access.path}"

    def pack(self, content: bytes, *, message_id: str = "", files: Sequence[Attachment] = ()) -> Packet:
        """See :meth:`~sekisho.gateway.inhouse_doors.Line.pack`. Further payloads for ``files``."""
        message = self._agreement.request(content, message_id=message_id.strip("<>"), files=files)
        return self._packed(message)

    def pack_pull(self, before: str = "") -> Packet:
        """A message that asks for the oldest letter; ``before`` is the MessageId of the one that came before it."""
        return self._packed(self._agreement.pull(before if self._agreement.agreed.ack == "never" else ""))

    def _packed(self, message: EbMessage) -> Packet:
        wire = self._agreement.wire(message)
        self._signed[message.header.message_id] = wire.digests
        return Packet(message.header.message_id, wire.body, wire.content_type)

    async def submit(self, packet: Packet) -> Submission:
        """See :meth:`~sekisho.gateway.inhouse_doors.Line.submit`.

        Taken means: acknowledged where that is agreed, and signed where that is. A repeat has to get the first answer
        again, byte for byte.
        """
        agreed = self._agreement.agreed
        coming: asyncio.Future[tuple[EbMessage, bytes]] = asyncio.get_running_loop().create_future()
        self._awaited[packet.name] = coming
        try:
            status, body, answer = await self.post(packet)
            if not 200 <= status < 300:
                return Submission("login" if status in (401, 403) else "answer", status, _line(body))
            if answer is None and agreed.ack != "never":
                if agreed.sync_reply in ("mshSignalsOnly", "signalsOnly", "signalsAndResponse"):
                    return Submission("acknowledgment", 0, "none came in the response")
                async with asyncio.timeout(_SECONDS):
                    answer, body = await coming
        except LineError as error:
            return Submission(error.stage, error.code, error.text)
        except TimeoutError:
            return Submission("acknowledgment", 0, f"none came within {_SECONDS:g} s")
        finally:
            del self._awaited[packet.name]
        return self._judged(packet.name, status, body, answer)

    def _judged(self, name: str, status: int, body: bytes, answer: EbMessage | None) -> Submission:
        if answer is None:
            return Submission("answer", status, "no acknowledgment is agreed")
        if answer.errors is not None:
            errors = "; ".join(f"{one.code} {one.text} {one.location}".rstrip() for one in answer.errors.errors)
            if answer.errors.highest == "Error":
                return Submission("error", 0, errors)
        agreed = self._agreement.agreed
        said = answer.acknowledgment
        if agreed.sync_reply == "responseOnly":
            # The letter is the answer, and who answers has received.
            text = f"answered with {answer.header.action}"
        elif said is None or said.ref_to != name:
            return Submission("acknowledgment", 0, f"another message came: {answer.header.action}")
        elif agreed.ack_signed and not answer.is_signed:
            return Submission("acknowledgment", 0, "it is not signed")
        elif agreed.ack_signed and not same_references(self._signed.get(name, ()), said.references):
            return Submission("acknowledgment", 0, "it names other digests than were signed")
        else:
            text = f"acknowledged{', signed' if answer.is_signed else ''}"
        first = self._answers.setdefault(name, body)
        if body is first:
            return Submission("answer", status, text)
        if body == first:
            return Submission("answer", status, f"{text}: the first answer again, byte for byte")
        return Submission("repeat", 0, "the answer is another one than the first time")

    async def post(self, packet: Packet) -> tuple[int, bytes, EbMessage | None]:
        """One HTTP request: status, body and the message in it. Letters in it are kept. Raises :class:`LineError`."""
        headers = {"Content-Type": packet.content_type, "SOAPAction": self._agreement.agreed.soap_action}
        status, content_type, body = await self._end.poster(self.url, self.access, headers, packet.data)
        if not body or not 200 <= status < 300:
            return status, body, None
        try:
            message = self._agreement.judged(content_type, body)
        except EbFault as error:
            raise LineError("answer", f"{status}, and it is not acceptable: {error}") from None
        if message.kind == "business":
            await self._keep(message)
        return status, body, message

    async def _keep(self, message: EbMessage) -> None:
        """A letter in a response: kept, then acknowledged by a post of its own."""
        said = self._said(message)
        if said is not None:
            await self._tell(said)

    def _said(self, message: EbMessage) -> tuple[str, bytes] | None:
        """Keep a letter unless it is known, and give its Acknowledgment; the same for the same letter."""
        name = message.header.message_id
        if name not in self.known:
            self._end.arrive(message, self._box)
            said = ("", b"")
            if message.ack_requested is not None:
                wire = self._agreement.wire(self._agreement.acknowledgment(message))
                said = (wire.content_type, wire.body)
            self.known[name] = said
        return self.known[name] if self.known[name][1] else None

    async def _tell(self, said: tuple[str, bytes]) -> None:
        status, body, _ = await self.post(Packet("", said[1], said[0]))
        if not 200 <= status < 300:
            raise LineError("acknowledgment", f"ours was not taken: {_line(body)}", status)

    async def hear(self, content_type: str, body: bytes) -> web.Response:
        """What the centre posts to our endpoint, and our answer. Raises :class:`EbFault` if it is not ours."""
        message = self._agreement.judged(content_type, body)
        if message.kind != "business":
            coming = self._awaited.get(message.header.ref_to)
            if coming is not None and not coming.done():
                coming.set_result((message, body))
            return web.Response()
        said = self._said(message)
        if said is None:
            return web.Response()
        if self._agreement.agreed.sync_reply != "none":
            return web.Response(body=said[1], headers={"Content-Type": said[0]})
        task = asyncio.create_task(self._tell(said))
        self._told.add(task)
        task.add_done_callback(self._forget)
        return web.Response()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._told.discard(task)
        if not task.cancelled():
            task.exception()  # a centre that missed it posts the letter again

    async def close(self) -> None:
        """See :meth:`~sekisho.gateway.inhouse_doors.Line.close`."""
        for task in self._told:
            task.cancel()
        await asyncio.gather(*self._told, return_exceptions=True)


class EbmsCollector:
    """Pulls letters; see :class:`~sekisho.gateway.inhouse_doors.Collector`.

    A pull brings the oldest letter, which stays until it is acknowledged: looking without taking shows that one only.
    Letters that come become arrivals by themselves, so :meth:`collect` gives nothing.
    """

    def __init__(self, line: EbmsLine) -> None:
        self._line = line

    async def waiting(self) -> list[str]:
        """See :meth:`~sekisho.gateway.inhouse_doors.Collector.waiting`: whether one waits cannot be asked for."""
        raise LineError("pull", "ebMS has no way to look without taking")

    async def collect(self, known: Collection[str] = (), *, leave: bool = False) -> list[Fetched]:  # noqa: ARG002
        """See :meth:`~sekisho.gateway.inhouse_doors.Collector.collect`. A letter cannot be left."""
        if leave:
            raise LineError("pull", "ebMS has no way to leave a letter that was taken")
        before = ""
        for _ in range(_LETTERS):
            packet = self._line.pack_pull(before)
            status, body, answer = await self._line.post(packet)
            if not 200 <= status < 300:
                raise LineError("login" if status in (401, 403) else "pull", _line(body), status)
            if answer is not None and answer.errors is not None:
                raise LineError("pull", "; ".join(f"{one.code} {one.text}" for one in answer.errors.errors))
            if answer is None or answer.kind != "business" or answer.header.message_id == before:
                break
            before = answer.header.message_id
        return []

    async def close(self) -> None:
        """Nothing is kept open."""


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > _MOST:
            raise LineError("answer", f"more than {_MOST} bytes came")
    return bytes(body)


def _line(body: bytes) -> str:
    """The beginning of a body as one line of text."""
    return " ".join(body[:300].decode("utf-8", "replace").split())
