"""Files at declarations: MSX attaches, MSY and MSY01 correct, IMS lists; ATI names who attends the inspection.

*Strategy.* The files travel beside the message (procedures 12) and stay where the journal keeps them: the record of
kind ``attachments``, keyed by 申告等番号, names each by the request that brought it and its index there, so no byte is
copied and what is attached can be taken out as it came. Who may do it is who may act on the declaration.

A record holds ``subject``, ``remarks``, ``office``, ``section``, ``version`` and ``files``: ``name``, ``kind``,
``media_type``, ``size``, ``request``, ``index``, ``at``, ``by`` (利用者コード). An ``inspection-attendance``, keyed the
same, holds ``attendant``, ``remarks``, ``by`` and ``at``.

Unspecified: our choice: names in the message and names of the files are the same ones; a message that names none means
all its files; a name stands once at a declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.mime_names import name_size
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule, result_block
from sekisho.handlers.checks import body, not_twice, numbered, stop
from sekisho.handlers.declarations import Declaration, find_declaration, system_of
from sekisho.handlers.delegation import may_act
from sekisho.handlers.examined import APPROVED, REFUSED
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Attached, Context, Outcome, Output, handles, layout_of, refuse

__all__ = ["attach", "call_up_attachments", "correct_attachments", "list_attachments", "name_attendant"]

KIND: Final = "attachments"
_ATTENDANCE: Final = "inspection-attendance"
_ADD, _REPLACE, _DELETE = "9", "5", "1"

_NAME_BYTES: Final = 190
"""Longest file name [spec]."""
_FILE_BYTES: Final = 10 * 1024 * 1024
"""Largest file (setting ``attached_file_bytes``): what the doors take by default; the official limit is unknown."""
_FILES: Final = 100
"""Files a declaration may have (setting ``attached_files``): as many as the list of IMS has rows."""
_BYTES: Final = 100 * 1024 * 1024
"""Bytes of all of them (setting ``attached_bytes``): ten mails of full size."""

File = dict[str, Any]


def _declaration(code: str, message: Message, context: Context) -> tuple[str, Declaration, dict[str, Any]]:
    """The declaration of ICN that the sender may act on. Refuses with E9001, U9001, E9005, E9003."""
    number = body(message).text("ICN")
    found = find_declaration(number, context)
    if found is None:
        raise refuse(ResultCode("E9001", "ICN"), key=number)
    definition, data = found
    if not may_act(context, data["user_code"], data.get("planned", ""), code):
        raise refuse(ResultCode("U9001"), key=number)
    if data["system"] != system_of(message):
        raise refuse(ResultCode("E9005", "ICN"), key=number)
    if data["state"] == REFUSED:
        raise refuse(ResultCode("E9003", "ICN"), key=number)
    return number, definition, data


def _letter(data: Mapping[str, Any]) -> str:
    return "A" if data["system"] == "air" else "S"


# What came ------------------------------------------------------------------------------------------------------------


def _came(record: Record, files: Sequence[Attached], context: Context) -> list[File]:
    """The files of the message as the record keeps them.

    Refuses with S9001 (a file without a name), S9006, E9017 (too large), by the file's number; then with R9003 (no
    file), R9004 (a name twice), R9005 (a name without a file, by row; a file that is not named).
    """
    most = int(context.business.get("attached_file_bytes", _FILE_BYTES))
    single = [ResultCode("S9001", "FN_", file.index) for file in files if not file.name]
    single += [ResultCode("S9006", "FN_", file.index) for file in files if name_size(file.name) > _NAME_BYTES]
    single += [ResultCode("E9017", "FN_", file.index) for file in files if file.size > most]
    stop(single)
    named = numbered(record, "FN_")
    names = [file.name for file in files]
    found = [] if files or named else [ResultCode("R9003", "FN_")]
    found += not_twice(record, "FN_")
    found += [ResultCode("R9004", "FN_", file.index) for file in files if file.name in names[: file.index - 1]]
    if named:
        found += [ResultCode("R9005", "FN_", row) for row, name in named if name not in names]
        found += [ResultCode("R9005", "FN_")] if set(names) - {name for _, name in named} else []
    stop(found)
    kinds = {name: record.text("FK_", row) for row, name in named}
    return [
        {
            "name": file.name,
            "kind": kinds[file.name] if named else _kind_of(record, file.index),
            "media_type": file.media_type,
            "size": file.size,
            "request": context.request,
            "index": file.index,
            "at": context.now.isoformat(timespec="seconds"),
            "by": context.user.user_code,
        }
        for file in files
    ]


def _kind_of(record: Record, row: int) -> str:
    return record.text("FK_", row) if row <= record.row_count("FK_") else ""


def _rows_of(record: Record) -> dict[str, int]:
    """Names and the rows they stand in; a file that is not named has row 0."""
    return {name: row for row, name in numbered(record, "FN_")}


def _head(record: Record, former: Mapping[str, Any]) -> dict[str, str]:
    """件名 and the rest: what is filled takes the place of what was there."""
    items = {"subject": "SUB", "remarks": "NT1", "office": "CH", "section": "CHB"}
    return {name: record.text(item) or former.get(name, "") for name, item in items.items()}


def _keep(number: str, record: Record, former: Mapping[str, Any], files: Sequence[File], context: Context) -> Outcome:
    """Write the list. Refuses with E9018 if that is more than a declaration may have."""
    most_files = int(context.business.get("attached_files", _FILES))
    most_bytes = int(context.business.get("attached_bytes", _BYTES))
    if len(files) > most_files or sum(file["size"] for file in files) > most_bytes:
        raise refuse(ResultCode("E9018", "FN_"), key=number)
    kept = {**_head(record, former), "version": former.get("version", 0) + 1, "files": list(files)}
    context.records.put(KIND, number, kept)
    return Outcome(key=number)


def _known(number: str, context: Context) -> Mapping[str, Any]:
    return context.records.get(KIND, number) or {}


# MSX, MSY, MSY01 ------------------------------------------------------------------------------------------------------


@handles("MSX", outputs=["*SMSX", "*AMSX"])
def attach(message: Message, context: Context) -> Outcome:
    """MSX: attach the files that come with the message; a second one adds to them.

    Refuses with S9001, S9006, E9017; R9003, R9004, R9005; E9001, U9001, E9005, E9003; E9002 by row for a name that is
    attached already, E9018 for too many.
    """
    record = body(message)
    came = _came(record, context.attachments.files(), context)
    number, _, _ = _declaration("MSX", message, context)
    return _add(number, record, came, context)


def _add(number: str, record: Record, came: Sequence[File], context: Context) -> Outcome:
    former, rows = _known(number, context), _rows_of(record)
    there = {file["name"] for file in former.get("files", ())}
    stop([ResultCode("E9002", "FN_", rows.get(f["name"], 0)) for f in came if f["name"] in there], key=number)
    return _keep(number, record, former, [*former.get("files", ()), *came], context)


@handles("MSY", outputs=["*SMSY", "*AMSY", "SZMSY", "AZMSY"])
def call_up_attachments(message: Message, context: Context) -> Outcome:
    """MSY: what is attached, as the screen of MSY01; of more files than it has rows, the first.

    Refuses with E9001 (no declaration, or nothing attached), U9001, E9005, E9003. Changes nothing.
    """
    number, _, data = _declaration("MSY", message, context)
    known = _known(number, context)
    if not known:
        raise refuse(ResultCode("E9001", "ICN"), key=number)
    values = {"KND": _REPLACE, "ICN": number, **_shown(known)}
    output = Output(f"{_letter(data)}ZMSY", "C", filled(layout_of(context, "MSY01.in"), values), layout="MSY01.in")
    return Outcome(key=number, outputs=(output,))


def _shown(known: Mapping[str, Any]) -> dict[str, Any]:
    files = known.get("files", ())
    return {
        "CH": known.get("office", ""),
        "CHB": known.get("section", ""),
        "SUB": known.get("subject", ""),
        "NT1": known.get("remarks", ""),
        "FN_": [file["name"] for file in files],
        "FK_": [file["kind"] for file in files],
    }


def _action(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """処理区分 is 9, 5 or 1."""
    return [] if record.text("KND") in ("", _ADD, _REPLACE, _DELETE) else [code(Rule.VALUE, "KND", 0)]


@handles("MSY01", outputs=["*SMSY01", "*AMSY01"], items=_action)
def correct_attachments(message: Message, context: Context) -> Outcome:
    """MSY01: 9 adds the files that come, 5 puts them in the place of those of the same names, 1 removes the named ones.

    Refuses as MSX; R9007 for files that come with a removal; E9001 by row for a name that is not attached.
    """
    record, files = body(message), context.attachments.files()
    action = record.text("KND")
    if action == _DELETE:
        stop(
            [
                *([ResultCode("R9007", "FN_")] if files else []),
                *([] if numbered(record, "FN_") else [ResultCode("R9003", "FN_")]),
                *not_twice(record, "FN_"),
            ]
        )
        came: list[File] = []
    else:
        came = _came(record, files, context)
    number, _, _ = _declaration("MSY01", message, context)
    if action == _ADD:
        return _add(number, record, came, context)
    former, rows = _known(number, context), _rows_of(record)
    there = {file["name"]: file for file in former.get("files", ())}
    named = list(rows) if action == _DELETE else [file["name"] for file in came]
    stop([ResultCode("E9001", "FN_", rows.get(name, 0)) for name in named if name not in there], key=number)
    new = {file["name"]: file for file in came}
    kept = [new.get(name, file) for name, file in there.items() if name in new or name not in named]
    return _keep(number, record, former, kept, context)


# IMS, ATI -------------------------------------------------------------------------------------------------------------


@handles("IMS", outputs=["SZIMS", "AZIMS"])
def list_attachments(message: Message, context: Context) -> Outcome:
    """IMS: the files at a declaration, in the order they came; none is an empty list.

    Refuses with E9001, U9001, E9005, E9003.
    """
    number, _, data = _declaration("IMS", message, context)
    known = _known(number, context)
    files = known.get("files", ())
    values: dict[str, Any] = {"RES": result_block(()), "ICN": number, "CNT": len(files), **_shown(known)}
    values |= {
        "FS_": [file["size"] for file in files],
        "FD_": [file["at"][:10].replace("-", "") for file in files],
        "FU_": [file["by"] for file in files],
    }
    code = f"{_letter(data)}ZIMS"
    output = Output(code, "M", filled(layout_of(context, f"{code}.out"), values))
    return Outcome(key=number, outputs=(output,), notice=False)


@handles("ATI", outputs=["*SATI", "*AATI"])
def name_attendant(message: Message, context: Context) -> Outcome:
    """ATI: who attends the inspection, while customs examines; the last one named counts.

    Refuses with E9001, U9001, E9005, E9003; E9004 once it is permitted, E9013 before it is declared.
    """
    record = body(message)
    number, definition, data = _declaration("ATI", message, context)
    if definition.machine.after(data["state"], "approve") is None:
        permitted = data["state"] == APPROVED or data["state"].startswith("permit")
        raise refuse(ResultCode("E9004" if permitted else "E9013", "ICN"), key=number)
    attendance = {
        "attendant": record.text("TTC"),
        "remarks": record.text("NT1"),
        "by": context.user.user_code,
        "at": context.now.isoformat(timespec="seconds"),
    }
    context.records.put(_ATTENDANCE, number, attendance)
    return Outcome(key=number)
