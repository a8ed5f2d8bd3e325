"""Inquiries under the foreign exchange act: JAM, JAP (applications), JTS (licence), JTM (endorsements); procedures 13.

*Strategy.* An inquiry that succeeds answers its M output alone and changes nothing. JTM answers by its official list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.results import ResultCode, result_block
from sekisho.handlers.checks import body, exactly_one, stop
from sekisho.handlers.filling import filled
from sekisho.handlers.foreign_exchange import APPLICATION, LIST, application_of, known_form
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse
from sekisho.handlers.licence_states import PROGRESS, form_of
from sekisho.handlers.licences import (
    ENDORSEMENT,
    LICENCE,
    amount,
    entitled_licence,
    may_use,
    of_authorities,
    standing_of,
)
from sekisho.handlers.tables import system_letter

__all__ = ["inquire_documents", "inquire_endorsements", "inquire_licence", "inquire_progress"]

_ROWS: Final = 999
"""Rows JTM answers [spec]."""


def _answer(code: str, values: Mapping[str, Any], message: Message, context: Context, key: str = "") -> Outcome:
    table = f"SZ{code}.out"
    written = filled(layout_of(context, table), {**values, "RES": result_block(())})
    name = f"{system_letter(code, message.header.system)}Z{code}"
    return Outcome(key=key, outputs=(Output(name, "M", written, layout=table),), notice=False)


@handles("JAM", outputs=["SZJAM", "AZJAM"], items=known_form)
def inquire_documents(message: Message, context: Context) -> Outcome:
    """JAM: what documents a form needs, by 申請種類番号, or of an application of one's own with those it has.

    Refuses with S9004; R9001; E9001, U9003. The lists of documents are ours.
    """
    record = body(message)
    stop(exactly_one(record, ("SSN", "JNO")))
    number, name = record.text("JNO"), record.text("SSN")
    files: list[str] = []
    if number:
        data = application_of(number, context)
        name, files = data["form"], [file["name"] for file in data["files"]]
    form = form_of(name)
    values = {"SSN": name, "JNO": number, "FN_": files}
    values |= {"SSM": form.title, "DC_": list(form.documents)} if form else {}
    return _answer("JAM", values, message, context, number)


@handles("JAP", outputs=["SZJAP", "AZJAP"], items=known_form)
def inquire_progress(message: Message, context: Context) -> Outcome:
    """JAP: how an application of one's own stands, or the newest fifty of a form.

    Refuses with S9004; R9001; E9001 (JNO; SSN: none of that form), U9003.
    """
    record = body(message)
    stop(exactly_one(record, ("SSN", "JNO")))
    number, form = record.text("JNO"), record.text("SSN")
    if number:
        found = [(number, application_of(number, context))]
    else:
        listed = context.records.get(LIST, f"{context.user.user_code}/{form}")
        known = [(one, context.records.get(APPLICATION, one)) for one in (listed["numbers"] if listed else ())]
        found = [(one, dict(data)) for one, data in known if data is not None]
        stop([] if found else [ResultCode("E9001", "SSN")])
    values = {
        "JN_": [one for one, _ in found],
        "SS_": [data["form"] for _, data in found],
        "ST_": [PROGRESS[data["state"]] for _, data in found],
        "RG_": [data["registered_at"][:10].replace("-", "") for _, data in found],
        "DT_": [data.get("decided_at", "")[:10].replace("-", "") for _, data in found],
        "LN_": [data["licence"] for _, data in found],
    }
    return _answer("JAP", values, message, context, number)


@handles("JTS", outputs=["SZJTS", "AZJTS"])
def inquire_licence(message: Message, context: Context) -> Outcome:
    """JTS: a licence with what is endorsed of each line, for its owner, its brokers and the authorities.

    Refuses with E9001, U9003.
    """
    number = body(message).text("LCN")
    licence = entitled_licence(number, context, brokers=True)
    lines = licence["lines"]
    values = {
        "LCN": number,
        "LKD": licence["medium"],
        "SSN": licence["form"],
        "STS": standing_of(licence, context),
        "OWN": licence["owner"],
        "VFR": licence["valid_from"],
        "VTO": licence["valid_to"],
        "JNO": licence["application"],
        "VER": str(licence["version"]),
        "LR_": [str(row) for row, _ in enumerate(lines, 1)],
        "LC_": [line["code"] for line in lines],
        "LN_": [line["name"] for line in lines],
        "LQ_": [line["quantity"] for line in lines],
        "LU_": [line["unit"] for line in lines],
        "LE_": [line["endorsed"] for line in lines],
    }
    return _answer("JTS", values, message, context)


@handles("JTM", outputs=["SZJTM", "AZJTM"])
def inquire_endorsements(message: Message, context: Context) -> Outcome:
    """JTM: endorsements of a licence, of one of its lines, of one kind.

    Refuses by the official list: R0053 (LRN without LCN), R0054 (nothing is asked for; its meaning is inferred), E0094
    (not entitled), E0031 (none), E0087 (several kinds: give one), E0088 (none of that kind), E0089 (over 999 rows).
    """
    record = body(message)
    number, line, kind = record.text("LCN"), record.text("LRN"), record.text("UGS")
    if not number:
        raise refuse(ResultCode("R0053", "LRN") if line else ResultCode("R0054"))
    licence = context.records.get(LICENCE, number)
    if licence is None:
        raise refuse(ResultCode("E0031", "LCN"))
    if not (may_use(licence, (context.user.user_code,)) or of_authorities(context)):
        raise refuse(ResultCode("E0094"))
    rows = [
        (data, one)
        for _, data in context.records.find(ENDORSEMENT, "licence", number)
        if not data["cancelled"]
        for one in data["lines"]
        if not line or one["line"] == amount(line)
    ]
    stop([] if rows else [ResultCode("E0031", "LCN")])
    if kind:
        rows = [row for row in rows if row[0]["kind"] == kind]
        stop([] if rows else [ResultCode("E0088", "UGS")])
    elif len({data["kind"] for data, _ in rows}) > 1:
        raise refuse(ResultCode("E0087", "UGS"))
    stop([ResultCode("E0089")] if len(rows) > _ROWS else [])
    values = {
        "LCN": number,
        "UN_": [data["number"] for data, _ in rows],
        "UG_": [data["kind"] for data, _ in rows],
        "LR_": [str(one["line"]) for _, one in rows],
        "LQ_": [one["quantity"] for _, one in rows],
        "LU_": [one["unit"] for _, one in rows],
        "IC_": [data["declaration"] for data, _ in rows],
        "UD_": [data["date"] for data, _ in rows],
    }
    return _answer("JTM", values, message, context)
