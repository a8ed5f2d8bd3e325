"""Who applies for and who uses a licence: JAI JAJ JAJ01 (申請者情報), JCA JCI JCC JCC01 (通関業者指定), procedures 13.

*Strategy.* Applicant data is a record of kind ``licence-applicant`` by user ID (``name``, ``address``, ``person``,
``telephone``, ``by``, ``at``), kept by the company's own IDs. The brokers stand in the licence itself, because every
matching asks for them: only its owner designates and releases.
"""

from __future__ import annotations

from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, result_block
from sekisho.handlers.checks import body, not_twice, numbered, stop
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse
from sekisho.handlers.licences import LICENCE, entitled_licence, standing_of
from sekisho.handlers.tables import system_letter

__all__ = ["call_up_applicant", "designate", "inquire_applicant", "inquire_designated", "register_applicant", "release"]

_APPLICANT: Final = "licence-applicant"
_BROKERS: Final = 10
"""Brokers of a licence: as many as the tables of JCC and JCI have rows (ours)."""
_ITEMS: Final = {"name": "DNM", "address": "DAD", "person": "TNM", "telephone": "TEL"}


# 申請者情報 -----------------------------------------------------------------------------------------------------------


def _own_id(record: Record, context: Context) -> str:
    """RID, an ID of the sender's 利用者コード. Refuses with U9003."""
    user_id = record.text("RID") or context.user.id
    if user_id[:5] != context.user.user_code:
        raise refuse(ResultCode("U9003", "RID"))
    return user_id


def _applicant(record: Record, context: Context) -> dict[str, Any]:
    """Values of an applicant. Refuses with U9003, E9001 (nothing registered)."""
    user_id = _own_id(record, context)
    known = context.records.get(_APPLICANT, user_id)
    if known is None:
        raise refuse(ResultCode("E9001", "RID"))
    return {"RID": user_id, **{item: known[name] for name, item in _ITEMS.items()}}


@handles("JAI", outputs=["SZJAI", "AZJAI"])
def inquire_applicant(message: Message, context: Context) -> Outcome:
    """JAI: applicant data of an ID of one's own. Refuses with U9003, E9001."""
    values = _applicant(body(message), context) | {"RES": result_block(())}
    code = f"{system_letter('JAI', message.header.system)}ZJAI"
    output = Output(code, "M", filled(layout_of(context, "SZJAI.out"), values), layout="SZJAI.out")
    return Outcome(outputs=(output,), notice=False)


@handles("JAJ", outputs=["*SJAJ", "*AJAJ", "SZJAJ", "AZJAJ"])
def call_up_applicant(message: Message, context: Context) -> Outcome:
    """JAJ: the same as the screen of JAJ01. Refuses with U9003, E9001. Changes nothing."""
    values = _applicant(body(message), context)
    code = f"{system_letter('JAJ', message.header.system)}ZJAJ"
    return Outcome(outputs=(Output(code, "C", filled(layout_of(context, "JAJ01.in"), values), layout="JAJ01.in"),))


@handles("JAJ01", outputs=["*SJAJ01", "*AJAJ01"])
def register_applicant(message: Message, context: Context) -> Outcome:
    """JAJ01: register applicant data of an ID of one's own; what is sent replaces what was there.

    Refuses with U9003, E9001 (no such ID).
    """
    record = body(message)
    user_id = _own_id(record, context)
    if context.accounts.state(user_id) is None:
        raise refuse(ResultCode("E9001", "RID"))
    data = {name: record.text(item) for name, item in _ITEMS.items()}
    data |= {"by": context.user.id, "at": context.now.isoformat(timespec="seconds")}
    context.records.put(_APPLICANT, user_id, data)
    return Outcome()


# 通関業者指定 ---------------------------------------------------------------------------------------------------------


def _owned(number: str, context: Context) -> dict[str, Any]:
    """A licence for its owner alone. Refuses with E9001, U9003."""
    licence = entitled_licence(number, context)
    if licence["owner"] != context.user.user_code:
        raise refuse(ResultCode("U9003", "LCN"))
    return licence


def _named(record: Record) -> list[tuple[int, str]]:
    """Rows with a broker. Refuses with R9003 (none), R9004 (twice)."""
    rows = numbered(record, "RCD")
    stop([*([] if rows else [ResultCode("R9003", "RCD")]), *not_twice(record, "RCD")])
    return rows


@handles("JCA", outputs=["*SJCA", "*AJCA"])
def designate(message: Message, context: Context) -> Outcome:
    """JCA: brokers that may use the licence, up to ten.

    Refuses with R9003, R9004; E9001, U9003 (LCN); E9003 (expired); E9002 by row (designated already), E9010.
    """
    record = body(message)
    rows, number = _named(record), record.text("LCN")
    licence = _owned(number, context)
    found = [ResultCode("E9003", "LCN")] if standing_of(licence, context) == "3" else []
    found += [ResultCode("E9002", "RCD", row) for row, broker in rows if broker in licence["brokers"]]
    brokers = [*licence["brokers"], *(broker for _, broker in rows)]
    stop([*found, *([ResultCode("E9010", "RCD")] if len(brokers) > _BROKERS else [])])
    context.records.put(LICENCE, number, {**licence, "brokers": brokers})
    return Outcome()


@handles("JCC01", outputs=["*SJCC01", "*AJCC01"])
def release(message: Message, context: Context) -> Outcome:
    """JCC01: release brokers; what they endorsed stays. Refuses with R9003, R9004; E9001, U9003 (LCN); E9001 by row."""
    record = body(message)
    rows, number = _named(record), record.text("LCN")
    licence = _owned(number, context)
    stop([ResultCode("E9001", "RCD", row) for row, broker in rows if broker not in licence["brokers"]])
    gone = {broker for _, broker in rows}
    context.records.put(LICENCE, number, {**licence, "brokers": [b for b in licence["brokers"] if b not in gone]})
    return Outcome()


@handles("JCC", outputs=["*SJCC", "*AJCC", "SZJCC", "AZJCC"])
def call_up_designated(message: Message, context: Context) -> Outcome:
    """JCC: the designated brokers as the screen of JCC01. Refuses with E9001, U9003. Changes nothing."""
    number = body(message).text("LCN")
    values = {"LCN": number, "RCD": _owned(number, context)["brokers"]}
    code = f"{system_letter('JCC', message.header.system)}ZJCC"
    return Outcome(outputs=(Output(code, "C", filled(layout_of(context, "JCC01.in"), values), layout="JCC01.in"),))


@handles("JCI", outputs=["SZJCI", "AZJCI"])
def inquire_designated(message: Message, context: Context) -> Outcome:
    """JCI: the designated brokers of a licence, for its owner and the authorities. Refuses with E9001, U9003."""
    number = body(message).text("LCN")
    licence = entitled_licence(number, context)
    values = {"RES": result_block(()), "LCN": number, "RC_": licence["brokers"]}
    code = f"{system_letter('JCI', message.header.system)}ZJCI"
    output = Output(code, "M", filled(layout_of(context, "SZJCI.out"), values), layout="SZJCI.out")
    return Outcome(outputs=(output,), notice=False)
