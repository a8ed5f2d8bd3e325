"""Interchanges for tests, and a message type of their own that does what the BGM says.

XTESTA is no UN message, so only its envelope is checked; its document code (1001) names what the decision does.
"""

import contextlib
from collections.abc import Iterator

from sekisho.codecs.edifact import Message, read
from sekisho.codecs.results import Refusal, ResultCode
from sekisho.gateway.inhouse import Arrival
from sekisho.handlers import EDIFACT, Context, Outcome, Output, Party, reads, refuse

COPY = {"RES": "", "O01": "one", "O02": "two"}


def decide(message: Message, context: Context) -> Outcome:
    """PUT keeps a record and a number; BOOM, REF and MUTE do so too, and then fail; EXC tells the warehouse."""
    segment = next(one for one in message.segments if one.tag == "BGM")
    what, document = segment.get(0), segment.get(1)
    number = context.numbers.next("extra")
    line = {"code": context.business_code, "aviation": context.aviation, "user": context.user.id}
    context.records.put("extra", document, line | {"text": segment.get(3), "request": context.request})
    if what == "BOOM":
        secret = "LOCAL-VALUE"
        raise RuntimeError(f"broken inside {len(secret)}")
    if what == "REF":
        raise refuse(ResultCode("E0031", "BGM", segment.number), ResultCode("E0032"), key=document)
    if what == "MUTE":
        raise Refusal([])
    if what == "WARN":
        return Outcome(key=document, results=(ResultCode("W0001"),))
    outputs = (Output("SAS0411", "P", COPY, Party(place="1AW01"), layout="TCC.out"),) if what == "EXC" else ()
    return Outcome(key=number if what == "NUM" else document, outputs=outputs)


@contextlib.contextmanager
def registered(*types: str) -> Iterator[None]:
    """These message types are decided by :func:`decide` inside the block."""
    before = dict(EDIFACT)
    for one in types:
        EDIFACT.pop(one, None)
        reads(one, codes=["XPUT"])(decide)
    try:
        yield
    finally:
        EDIFACT.clear()
        EDIFACT.update(before)


def partner(extra: str = "", *, name: str = "trader1", user: str = "1ANACA0A", ids: str = '["TRADER1"]') -> str:
    """A [[partner]] table; ``extra`` are further lines."""
    messages = "" if "messages =" in extra else 'messages = { XTESTA = "XPUT" }\n'
    return f'[[partner]]\nname = "{name}"\nuser = "{user}"\nids = {ids}\n{messages}{extra}\n'


def message(what: str = "PUT", document: str = "DOC1", *, reference: str = "1", kind: str = "XTESTA:1:1:ZZ") -> str:
    """A good XTESTA of three segments."""
    return f"UNH+{reference}+{kind}'BGM+{what}+{document}'UNT+3+{reference}'"


def interchange(
    *messages: str,
    reference: str = "REF1",
    sender: str = "TRADER1",
    recipient: str = "SEKISHO",
    syntax: str = "UNOA:3",
    more: str = "",
    count: int | None = None,
    una: str = "",
    date: str = "251001",
) -> bytes:
    """An interchange around messages; ``more`` follows 0020 in UNB, ``count`` replaces the true one in UNZ."""
    body = "".join(messages)
    number = len(messages) if count is None else count
    text = f"{una}UNB+{syntax}+{sender}+{recipient}+{date}:0900+{reference}{more}'{body}UNZ+{number}+{reference}'"
    return text.encode("latin-1")


def asked() -> str:
    """What follows 0020 where an acknowledgement is asked for (0031 is 1)."""
    return "++++1"


def segments(arrival: Arrival) -> list[str]:
    """The segments of a reply without UNB and UNZ. The reply itself is held against our own reader first."""
    report = read(arrival.content)
    assert report.valid, report.errors
    lines = arrival.content.decode("latin-1").split("'\r\n")
    assert lines[-1] == "", "every segment ends its line"
    return lines[1:-2]


def kind_of(arrival: Arrival) -> str:
    """CONTRL, CUSRES or APERAK."""
    return segments(arrival)[0].split("+")[2].split(":")[0]
