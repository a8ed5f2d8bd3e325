"""Applications under the foreign exchange act (procedures 13): JAA JAB JAC JAF JAH JMD, and JASET, the decision.

*Strategy.* One record an application (kind ``licence-application``, key 申請番号); its form files stay where the
journal keeps them and are named by request and index. The ministry decides by the rules of examination
(``[[examination]]``, code JAA, JAH or JMD) or by JASET, a code of ours that users of its 業種 and operators
(``sekisho act``) send. What JAA is granted becomes a licence of the register (:mod:`sekisho.handlers.licences`) or
amends one; JAH and JMD are granted without one.

A record holds ``state``, ``owner`` (user ID), ``user_code``, ``system``, ``business``, ``form`` (申請種類番号),
``licence`` (that it amends or is about; once granted, the issued one), ``applicant``, ``reference``, ``contents``,
``files``, ``registered_at``, ``request``, ``decided_at``, ``note``, ``condition``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.checks import body, not_before, not_twice, numbered, stop
from sekisho.handlers.customs import DECISIONS, decision_values
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import (
    SENDER,
    Context,
    Originator,
    Outcome,
    Output,
    Party,
    Sender,
    handles,
    layout_of,
    refuse,
    step,
)
from sekisho.handlers.licence_states import GRANTED, LICENCE_APPLICATION, PROGRESS, form_of
from sekisho.handlers.licences import ELECTRONIC, LICENCE, PAPER, amount, entitled_licence, standing_of, today
from sekisho.handlers.states import NEW

__all__ = ["APPLICATION", "LIST", "application_of", "end_review", "letter_of"]

APPLICATION: Final = LICENCE_APPLICATION.kind
LIST: Final = "licence-application-list"
_DECIDE: Final = "licence-application.decide"
_LISTED: Final = 50
"""Applications of one form that JAP lists, the newest ones: as many as its table has rows."""
_FILES: Final = 100
"""Files an application may have (setting ``attached_files``), as many as its copy has rows."""
_VALID_DAYS: Final = 180
"""How long a licence is good where the ministry says nothing (setting ``licence_valid_days``); half a year, ours."""

_LINE: Final = {"code": "LC_", "name": "LN_", "quantity": "LQ_", "unit": "LU_"}
_ANY_GOODS: Final = {"code": "", "name": "", "quantity": "", "unit": "", "endorsed": "0"}


def letter_of(system: str) -> str:
    """First letter of the output codes."""
    return "A" if system == "air" else "S"


def known_form(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """申請種類番号 is one of the table."""
    number = record.text("SSN")
    return [] if not number or form_of(number) else [code(Rule.VALUE, "SSN", 0)]


def application_of(number: str, context: Context) -> dict[str, Any]:
    """An application of the sender's 利用者コード. Refuses with E9001, U9003."""
    data = context.records.get(APPLICATION, number)
    if data is None:
        raise refuse(ResultCode("E9001", "JNO"), key=number)
    if data["user_code"] != context.user.user_code:
        raise refuse(ResultCode("U9003", "JNO"), key=number)
    return dict(data)


def _moved(number: str, data: Mapping[str, Any], event: str) -> dict[str, Any]:
    """The record after an event. Refuses with E9013."""
    state = LICENCE_APPLICATION.after(data["state"], event)
    if state is None:
        raise refuse(ResultCode("E9013", "JNO"), key=number)
    return {**data, "state": state}


# What came ------------------------------------------------------------------------------------------------------------


def _files(record: Record, context: Context, *, needed: bool = False) -> list[dict[str, Any]]:
    """The files of the message. Refuses with R9003 (``needed``, but none), R9004 (a name twice), R9005."""
    came, named = context.attachments.files(), numbered(record, "FN_")
    found = not_twice(record, "FN_")
    names = {file.name for file in came}
    if needed and not came:
        found.append(ResultCode("R9003", "FN_"))
    elif named:
        found += [ResultCode("R9005", "FN_", row) for row, name in named if name not in names]
        found += [ResultCode("R9005", "FN_")] if names - {name for _, name in named} else []
    found += [] if len(names) == len(came) else [ResultCode("R9004", "FN_")]
    stop(found)
    return [
        {"name": f.name, "media_type": f.media_type, "size": f.size, "request": context.request, "index": f.index}
        for f in came
    ]


def _with_files(number: str, data: dict[str, Any], files: list[dict[str, Any]], context: Context) -> dict[str, Any]:
    """The record with further files. Refuses with E9018."""
    kept = [*data["files"], *files]
    if len(kept) > int(context.business.get("attached_files", _FILES)):
        raise refuse(ResultCode("E9018", "FN_"), key=number)
    return {**data, "files": kept}


def _copy(code: str, number: str, data: Mapping[str, Any], context: Context) -> tuple[Output, ...]:
    """申請控 to the sender, and to the ministry's 利用者コード (setting ``licence_authority_user``) if there is one."""
    form = form_of(data["form"])
    values = {
        "JNO": number,
        "SSN": data["form"],
        "SSM": form.title if form else "",
        "STS": PROGRESS[data["state"]],
        "LCN": data["licence"],
        "RID": data["applicant"],
        "REF": data["reference"],
        "NT1": data["contents"],
        "REG": data["registered_at"][:10].replace("-", ""),
        "FN_": [file["name"] for file in data["files"]],
    }
    name, written = f"{letter_of(data['system'])}Z{code}", filled(layout_of(context, "SZJAA.out"), values)
    ministry = str(context.business.get("licence_authority_user", ""))
    to: tuple[Sender | Party, ...] = (SENDER, Party(user_code=ministry)) if ministry else (SENDER,)
    return tuple(Output(name, "C" if one is SENDER else "P", written, to=one, layout="SZJAA.out") for one in to)


# JAA, JAH, JMD --------------------------------------------------------------------------------------------------------


def _apply(code: str, message: Message, context: Context, licence: str = "") -> Outcome:
    """Keep an application under a new number, and have it reviewed."""
    record = body(message)
    files = _files(record, context)
    data: dict[str, Any] = {
        "state": NEW,
        "owner": context.user.id,
        "user_code": context.user.user_code,
        "system": "air" if message.header.system == "1" else "sea",
        "business": code,
        "form": record.text("SSN"),
        "licence": licence,
        "applicant": (record.text("RID") if "RID" in record.layout else "") or context.user.id,
        "reference": record.text("REF") if "REF" in record.layout else "",
        "contents": record.text("NT1"),
        "files": [],
        "registered_at": context.now.isoformat(timespec="seconds"),
        "request": context.request,
    }
    data = _moved("", _with_files("", data, files, context), "apply")
    number = context.numbers.next(APPLICATION)
    key = f"{context.user.user_code}/{data['form']}"
    listed = context.records.get(LIST, key)
    context.records.put(LIST, key, {"numbers": [*(listed["numbers"] if listed else ()), number][-_LISTED:]})
    return _reviewed(code, number, data, context)


def _reviewed(code: str, number: str, data: dict[str, Any], context: Context) -> Outcome:
    """Keep what is under review now; the rules may grant it at once, or later by themselves."""
    context.records.put(APPLICATION, number, data)
    outputs = _copy(code, number, data, context)
    chosen = context.examinations.choose(data["business"], remarks=data["contents"])
    if chosen.kind == "simple":
        return Outcome(key=number, outputs=(*outputs, *_decide(number, data, "approve", {}, context, SENDER)))
    context.schedule.cancel(_DECIDE, number)
    if chosen.after is not None:
        context.schedule.at(context.now + chosen.after, _DECIDE, number, {"decision": chosen.decision})
    return Outcome(key=number, outputs=outputs)


@handles("JAA", outputs=["*SJAA", "*AJAA", "SZJAA", "AZJAA", "SZJASET", "AZJASET"], items=known_form)
def apply_for_licence(message: Message, context: Context) -> Outcome:
    """JAA: apply by a 新規 number, or amend a licence by the 訂正 number of its form.

    Refuses with S9004; R9004, R9005, R9007 (LCN of a new one); U9003, E9001 (RID, LCN), E9003 (expired), E9019 (another
    form), E9018.
    """
    record = body(message)
    number, licence, applicant = record.text("SSN"), record.text("LCN"), record.text("RID")
    form = form_of(number)
    amends = form is not None and number == form.amend
    found = [] if licence or not amends else [ResultCode("R9005", "LCN")]
    stop([*found, *([ResultCode("R9007", "LCN")] if licence and not amends else [])])
    if applicant and applicant[:5] != context.user.user_code:
        raise refuse(ResultCode("U9003", "RID"))
    if applicant and context.accounts.state(applicant) is None:
        raise refuse(ResultCode("E9001", "RID"))
    if amends and form is not None:
        _amendable(licence, form.new, context)
    return _apply("JAA", message, context, licence)


def _amendable(number: str, form: str, context: Context) -> None:
    """Refuses with E9001, U9003, E9003 (expired), E9019 (another form)."""
    licence = _own(number, context)
    found = [ResultCode("E9003", "LCN")] if standing_of(licence, context) == "3" else []
    stop([*found, *([] if licence["form"] == form else [ResultCode("E9019", "SSN")])])


def _own(number: str, context: Context) -> dict[str, Any]:
    """A licence of the sender's own. Refuses with E9001, U9003."""
    licence = entitled_licence(number, context)
    if licence["owner"] != context.user.user_code:
        raise refuse(ResultCode("U9003", "LCN"))
    return licence


@handles("JAH", outputs=["*SJAH", "*AJAH", "SZJAH", "AZJAH", "SZJASET", "AZJASET"], items=known_form)
def apply_generally(message: Message, context: Context) -> Outcome:
    """JAH: an application of a general form; granted without a licence. Refuses with S9004; R9004, R9005; E9018."""
    return _apply("JAH", message, context)


@handles("JMD", outputs=["*SJMD", "*AJMD", "SZJMD", "AZJMD", "SZJASET", "AZJASET"], items=known_form)
def apply_for_movement_documents(message: Message, context: Context) -> Outcome:
    """JMD: Basel movement documents, of a licence of one's own if it names one. As JAH; E9001, U9003."""
    licence = body(message).text("LCN")
    if licence:
        _own(licence, context)
    return _apply("JMD", message, context, licence)


# JAB, JAF, JAC --------------------------------------------------------------------------------------------------------


def _open(record: Record, event: str, context: Context) -> tuple[str, dict[str, Any]]:
    """An application and its state after ``event``. Refuses with E9001, U9003; E9019 (SSN), E9013."""
    number = record.text("JNO")
    data = application_of(number, context)
    if "SSN" in record.layout and record.text("SSN") != data["form"]:
        raise refuse(ResultCode("E9019", "SSN"), key=number)
    return number, _moved(number, data, event)


@handles("JAB", outputs=["*SJAB", "*AJAB", "SZJAB", "AZJAB", "SZJASET", "AZJASET"], items=known_form)
def supplement(message: Message, context: Context) -> Outcome:
    """JAB: supplement what the ministry wanted supplemented; it is reviewed anew.

    Refuses with S9004; R9004, R9005; E9001, U9003, E9019, E9013; E9018.
    """
    record = body(message)
    files = _files(record, context)
    number, data = _open(record, "supplement", context)
    data |= {"contents": record.text("NT1") or data["contents"], "request": context.request, "owner": context.user.id}
    return _reviewed("JAB", number, _with_files(number, data, files, context), context)


@handles("JAF", outputs=["*SJAF", "*AJAF", "SZJAF", "AZJAF"])
def add_documents(message: Message, context: Context) -> Outcome:
    """JAF: add files to an application that is not decided.

    Refuses with R9003, R9004, R9005; E9001, U9003, E9013, E9018.
    """
    record = body(message)
    files = _files(record, context, needed=True)
    number, data = _open(record, "add documents", context)
    data = _with_files(number, data, files, context)
    context.records.put(APPLICATION, number, data)
    return Outcome(key=number, outputs=_copy("JAF", number, data, context))


@handles("JAC", outputs=["*SJAC", "*AJAC", "SZJAC", "AZJAC"], items=known_form)
def withdraw(message: Message, context: Context) -> Outcome:
    """JAC: withdraw an application that is not decided.

    Refuses with S9004; R9004, R9005; E9001, U9003, E9019, E9013.
    """
    record = body(message)
    files = _files(record, context)
    number, data = _open(record, "withdraw", context)
    data = _with_files(number, data, files, context)
    context.schedule.cancel(_DECIDE, number)
    context.records.put(APPLICATION, number, data)
    return Outcome(key=number, outputs=_copy("JAC", number, data, context))


# The decision ---------------------------------------------------------------------------------------------------------


def _terms(record: Record) -> dict[str, Any]:
    """What the ministry grants, as JASET says it."""
    rows = range(1, record.row_count("LC_") + 1)
    lines = [{name: record.text(item, row) for name, item in _LINE.items()} for row in rows]
    return {
        "number": record.text("LCN"),
        "medium": record.text("LKD"),
        "from": record.text("VFR"),
        "to": record.text("VTO"),
        "note": record.text("NT1"),
        "condition": record.text("JKN"),
        "lines": [line for line in lines if any(line.values())],
    }


def _decision(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """審査結果 is A, R or C; ライセンス形態 E or P."""
    medium = [] if record.text("LKD") in ("", ELECTRONIC, PAPER) else [code(Rule.VALUE, "LKD", 0)]
    return [*decision_values(record, code), *medium]


@handles("JASET", outputs=["*SJASET", "*AJASET", "SZJASET", "AZJASET"], items=_decision)
def end_review(message: Message, context: Context) -> Outcome:
    """JASET (a code of ours): the ministry grants (A), refuses (R), or wants a supplement (C); the applicant hears it.

    Refuses with U9001 (not the ministry); S9004; R9002; E9001, E9013; E9002, R9007 (LCN), E9020 (less than endorsed).
    """
    if context.user.trade != context.business.get("licence_authority_trade", "ministry"):
        raise refuse(ResultCode("U9001"))
    record = body(message)
    stop(not_before(record, "VFR", "VTO"))
    number = record.text("JNO")
    data = context.records.get(APPLICATION, number)
    if data is None:
        raise refuse(ResultCode("E9001", "JNO"), key=number)
    decision, to = DECISIONS[record.text("RES")], Originator(data["owner"], data["request"])
    return Outcome(key=number, outputs=_decide(number, data, decision, _terms(record), context, to))


@step(_DECIDE)
def decide_by_itself(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
    """The ministry decides by itself, if nobody has decided meanwhile."""
    known = context.records.get(APPLICATION, key)
    if known is None or LICENCE_APPLICATION.after(known["state"], data["decision"]) is None:
        return Outcome(key=key)
    to = Originator(known["owner"], known["request"])
    return Outcome(key=key, outputs=_decide(key, known, data["decision"], {}, context, to))


def _decide(
    number: str,
    known: Mapping[str, Any],
    decision: str,
    terms: Mapping[str, Any],
    context: Context,
    to: Sender | Originator,
) -> tuple[Output, ...]:
    """Keep the decision, issue or amend the licence, tell the applicant. Refuses with E9013 and as :func:`_issue`."""
    data = _moved(number, known, decision)
    context.schedule.cancel(_DECIDE, number)
    licence: Mapping[str, Any] = {}
    if data["state"] == GRANTED and data["business"] == "JAA":
        data["licence"], licence = _issue(number, data, terms, context)
    data |= {"decided_at": context.now.isoformat(timespec="seconds")}
    data |= {"note": terms.get("note", ""), "condition": terms.get("condition", "")}
    context.records.put(APPLICATION, number, data)
    values = {
        "JNO": number,
        "SSN": data["form"],
        "RES": next(word for word, name in DECISIONS.items() if name == decision),
        "STS": PROGRESS[data["state"]],
        "DTM": today(context),
        "TIM": f"{context.now:%H%M}",
        "LCN": data["licence"],
        "LKD": licence.get("medium", ""),
        "VFR": licence.get("valid_from", ""),
        "VTO": licence.get("valid_to", ""),
        "JKN": data["condition"],
        "NT1": data["note"],
        "REF": data["reference"],
    }
    written = filled(layout_of(context, "SZJASET.out"), values)
    return (Output(f"{letter_of(data['system'])}ZJASET", "P", written, to=to, layout="SZJASET.out"),)


def _issue(
    number: str, data: Mapping[str, Any], terms: Mapping[str, Any], context: Context
) -> tuple[str, Mapping[str, Any]]:
    """Issue a licence, or amend the one the application names; gives its number and record.

    Without lines it is good for any goods. Refuses with R9007 (an amendment with a number), E9002 (number in use),
    E9020 (an amended line that has less than is endorsed of it).
    """
    old = context.records.get(LICENCE, data["licence"]) if data["licence"] else None
    given = terms.get("number", "")
    if old is not None and given not in ("", data["licence"]):
        raise refuse(ResultCode("R9007", "LCN"), key=number)
    if old is None and given and context.records.get(LICENCE, given) is not None:
        raise refuse(ResultCode("E9002", "LCN"), key=number)
    form, days = form_of(data["form"]), int(context.business.get("licence_valid_days", _VALID_DAYS))
    first = terms.get("from") or (old["valid_from"] if old else today(context))
    licence: dict[str, Any] = {
        "owner": data["user_code"],
        "form": form.new if form else data["form"],
        "medium": terms.get("medium") or (old["medium"] if old else ELECTRONIC),
        "application": number,
        "valid_from": first,
        "valid_to": terms.get("to") or (old["valid_to"] if old else f"{context.now + timedelta(days=days):%Y%m%d}"),
        "version": old["version"] + 1 if old else 0,
        "brokers": old["brokers"] if old else [],
        "endorsements": old["endorsements"] if old else 0,
        "lines": _lines(number, terms.get("lines", []), old["lines"] if old else []),
    }
    name = data["licence"] if old else given or context.numbers.next(LICENCE)
    context.records.put(LICENCE, name, licence)
    return name, licence


def _lines(number: str, granted: list[dict[str, Any]], old: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines of a licence with what is endorsed of each already. Refuses with E9020 by row."""
    if not granted:
        return list(old) or [_ANY_GOODS]
    endorsed = [str(line["endorsed"]) for line in old] + ["0"] * len(granted)
    less = [
        ResultCode("E9020", "LQ_", row + 1)
        for row, done in enumerate(endorsed[: max(len(old), len(granted))])
        if (row >= len(granted) and amount(done) > Decimal(0))
        or (row < len(granted) and granted[row]["quantity"] and amount(granted[row]["quantity"]) < amount(done))
    ]
    stop(less, key=number)
    return [{**line, "endorsed": endorsed[row]} for row, line in enumerate(granted)]
