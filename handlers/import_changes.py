"""Changes of an import declaration before the permit: IDD calls it up, IDA01 registers the change, IDE declares it.

*Strategy.* The three stand beside IDA, IDB and IDC and have their tables (aliases, IDD's key ours). Who is not let in
hears U0100 of IDD, the official number [spec]; how far the call-up of original data reaches is read as: registrant,
planned declarant and who declared, for the codes of changes are not among the delegated ones.
"""

from __future__ import annotations

from sekisho.codecs.message import Message
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.checks import body, stop
from sekisho.handlers.declaring import apply_change, changeable, register_change
from sekisho.handlers.import_outputs import input_copy, screen
from sekisho.handlers.imports import IMPORT, declares
from sekisho.handlers.kit import Context, Outcome, handles, layout_of

__all__ = ["call_up_change", "declare_change", "register_import_change"]


@handles("IDD", outputs=("*SIDD", "*AIDD", "SZIDD", "AZIDD"))
def call_up_change(message: Message, context: Context) -> Outcome:
    """IDD: what is declared and not permitted, with its registered change if there is one, as the screen of IDA01.

    Refuses with E9001, U0100, E9005; E9002, E9003, E9004, E9013. Changes nothing.
    """
    number = body(message).text("ICN")
    data, _ = changeable(IMPORT, number, "call up for change", message, context, not_entitled="U0100")
    code = "AZIDD" if data["system"] == "air" else "SZIDD"
    return Outcome(key=number, outputs=(screen(code, "IDA.in", data.get("pending") or data["items"], context),))


@handles("IDA01", outputs=("*SIDA01", "*AIDA01", "SZIDA01", "AZIDA01"))
def register_import_change(message: Message, context: Context) -> Outcome:
    """IDA01: register a change of what is declared and not permitted; customs waits for IDE.

    Refuses with S9001 without a number; E9001, U9001, E9005; E9002, E9003, E9004, E9013.
    """
    stop([] if body(message).text("ICN") else [_missing("IDA01", context)])
    number, data = register_change(IMPORT, message, context)
    shown = {**data, "items": data["pending"]}
    return Outcome(key=number, outputs=(input_copy("IDA01", number, shown, context),))


def _missing(code: str, context: Context) -> ResultCode:
    return ResultCode(layout_of(context, f"{code}.in").results.code_for(Rule.MISSING, "ICN"), "ICN")


@handles("IDE", outputs=declares("IDE"))
def declare_change(message: Message, context: Context) -> Outcome:
    """IDE: declare the registered change; it is examined anew.

    Refuses with E9001, U9001, E9005; E9002, E9003, E9004, E9013.
    """
    number = body(message).text("ICN")
    return Outcome(key=number, outputs=apply_change(IMPORT, "IDE", number, message, context))
