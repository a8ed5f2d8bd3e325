"""What export declarations answer with: copies, permits, goods information for the warehouse, screens.

*Strategy.* Copy and permit are read by line number and share item names, not short names
(:mod:`sekisho.handlers.forms`), so everything known of a declaration is offered by the names of EDA's items and by the
names the forms add; an official table that is dropped in takes what it has names for. Amounts in yen come of the FOB
value and the rates the house keeps (``exchange-rate`` records).

Official are SAE4001, SAE4011, SAE4041, SAE4051 (call-up) and SAE1LF3 (permit, seen for sea); AAE is their air form, the
other codes are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sekisho.handlers.declaration_outputs import EXAMINATIONS, date_of, letter_of, office_name, to_customs_too
from sekisho.handlers.declarations import Declaration, progress
from sekisho.handlers.filling import filled
from sekisho.handlers.forms import form
from sekisho.handlers.kit import SENDER, Context, Originator, Output, Party, Sender, layout_of
from sekisho.handlers.specialists import specialist_number
from sekisho.handlers.tariff import value_in_yen

__all__ = [
    "cargo_named",
    "copy",
    "examination_copies",
    "fob_value",
    "goods_information",
    "permit_set",
    "screen",
    "screen_code",
]

SMALL: Final = "S"
"""少額 in 大額・少額識別; blank and L are 大額 (letters as in 情報呼出識別 of EDD)."""
_RE_SHIPMENT: Final = "R"
"""申告種別 of 積戻し for exhibitions and the like (letter ours): called up by SAE4041 and SAE4051."""
_LICENCES: Final = 15
_WIDE: Final = str.maketrans("0123456789", "０１２３４５６７８９")
_EXAMINATION_NAMES: Final = {"documents": "書類審査", "inspection": "検査"}


def cargo_named(items: Mapping[str, Any]) -> list[str]:
    """What an export declaration names: ＡＷＢ番号 (sea: 貨物管理番号), else 輸出管理番号."""
    return [name for name in (str(items.get("AWB") or items.get("EKN") or ""),) if name]


def fob_value(items: Mapping[str, Any], context: Context) -> int:
    """ＦＯＢ価格 in yen; 0 where it is blank or its currency has no rate."""
    return value_in_yen(str(items.get("FOP", "")), str(items.get("FOB", "")), context)


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text or 0)
    except InvalidOperation:
        return Decimal(0)
    return number if number.is_finite() else Decimal(0)


def _line_values(items: Mapping[str, Any], total: int) -> list[str]:
    """The FOB value in yen of every line: one line has it all, several share it by 按分係数; blank without one."""
    parts = [_decimal(text) for text in items.get("BPR", ())]
    lines = len(items.get("CMD", ()))
    if lines == 1:
        return [str(total)]
    whole = sum(parts)
    shares = parts + [Decimal(0)] * (lines - len(parts))
    return [str(int(total * part / whole)) if whole else "" for part in shares[:lines]]


def _names(definition: Declaration, number: str, data: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Everything known of a declaration by item name: as it was sent, then what copies and permits add."""
    items: Mapping[str, Any] = data["items"]
    registered = layout_of(context, f"{data['registered_by']}.in")
    total = fob_value(items, context)
    place = context.records.place(str(items.get("ST", "")))
    kinds = [*items.get("TK_", ()), "", ""]
    declared, permitted = date_of(data.get("declared_at")), date_of(data.get("approved_at"))
    rate = context.records.get("exchange-rate", str(items.get("FOB", ""))) or {}
    lines = len(items.get("CMD", ()))
    known: dict[str, Any] = {item.name: items.get(item.id, "") for item in registered.items}
    known |= {
        "申告種別１": items.get("LSK", ""),
        "申告種別２": items.get("EC1", ""),
        "申告種別３": kinds[0],
        "申告種別４": kinds[1],
        "申告種別５": items.get("SKB", ""),
        "審査検査区分": EXAMINATIONS[data["examination"]["kind"]] if declared else "",
        "あて先税関": office_name(definition, data, context),
        "申告年月日": declared,
        "輸出申告番号": number,
        "申告条件": data.get("declared_as", ""),
        "仕向人名": items.get("CNN", ""),
        "代理人コード": str(data.get("declarant") or data["owner"])[:5],
        "通関士コード": specialist_number(data, context),
        "通関蔵置場コード": items.get("ST", ""),
        "通関蔵置場名": place[1].upper() if place else "",
        "蔵置税関": office_name(definition, data, context),
        "蔵置税関部門": items.get("CHB", ""),
        "積込港コード": items.get("LPC", ""),
        "通貨換算レート通貨コード": items.get("FOB", "") if rate else "",
        "通貨換算レート": rate.get("yen", ""),
        "通貨換算レート通貨コード１": items.get("FOB", "") if rate else "",
        "通貨換算レート１": rate.get("yen", ""),
        "ＢＰＲ合計": items.get("BPT", ""),
        "構成枚数": 1,
        "申告欄数": lines,
        "輸出者（入力）": items.get("EXC", ""),
        "税関通知欄": data.get("officer_note", ""),
        "輸出許可年月日": permitted,
        "許可年月日２": date_of(data.get("amended_at")) or permitted,
        "欄番号": [f"{row:02d}" for row in range(1, lines + 1)],
        "統計品目番号": items.get("CMD", []),
        "統計品目番号（枝）": items.get("CM2", []),
        "申告価格（ＦＯＢ）１": _line_values(items, total),
        "数量（１）": items.get("QN1", []),
        "数量単位コード（１）": items.get("QT1", []),
        "数量（２）": items.get("QN2", []),
        "数量単位コード（２）": items.get("QT2", []),
        "ＢＰＲ按分係数": items.get("BPR", []),
        "ＢＰＲ金額通貨コード": items.get("BPC", []),
        "ＢＰＲ金額": items.get("BPA", []),
        "輸出令別表コード": items.get("ETB", []),
        "減免戻税条項符号１": items.get("RE", []),
        "内消税免税符号１": items.get("TXC", []),
        "内消税免税符号２": items.get("TXK", []),
    }
    for n in range(1, 6):
        known[f"関税法７０条関係{str(n).translate(_WIDE)}"] = items.get(f"OL{n}", [])
    kinds_of, numbers_of = list(items.get("S_", ())), list(items.get("N_", ()))
    for row in range(_LICENCES):
        wide = str(row + 1).translate(_WIDE)
        known[f"輸出承認証等識別{wide}"] = kinds_of[row] if row < len(kinds_of) else ""
        known[f"輸出承認証番号等{wide}"] = numbers_of[row] if row < len(numbers_of) else ""
    return known


def copy(
    definition: Declaration,
    code: str,
    kind: str,
    number: str,
    data: Mapping[str, Any],
    context: Context,
    to: Sender | Originator | Party = SENDER,
    *,
    table: str = "copy-export",
) -> Output:
    """A copy or permit (``code`` without its system letter) of the declaration as ``data`` has it."""
    letter = letter_of(data)
    known = _names(definition, number, data, context)
    ids = {**data["items"], "ECN": number, "JYO": data.get("declared_as", "")}
    return form(f"{letter}{code}", kind, ids, known, context, to, table=table)


def screen(code: str, number: str, data: Mapping[str, Any], context: Context) -> Output:
    """A call-up's screen (kind C): the item table it was registered by, filled; ``code`` without its system letter."""
    table = f"{data['registered_by']}.in"
    values = filled(layout_of(context, table), {**data["items"], "ECN": number})
    return Output(f"{letter_of(data)}{code}", "C", values, layout=table)


def screen_code(items: Mapping[str, Any], value_class: str = "") -> str:
    """The code of a draft's screen, without its letter: by 大額・少額 (or as asked) and 積戻し of exhibits."""
    small = (value_class or items.get("LSK")) == SMALL
    if items.get("EC1") == _RE_SHIPMENT:
        return "AE4051" if small else "AE4041"
    return "AE4011" if small else "AE4001"


def goods_information(
    definition: Declaration, number: str, data: Mapping[str, Any], context: Context
) -> tuple[Output, ...]:
    """許可貨物情報 (kind P) for the user of the 蔵置場, EXC; nothing where the declaration names no place."""
    items = data["items"]
    code = str(items.get("ST", ""))
    if not code:
        return ()
    place = context.records.place(code)
    names = items.get("CMN", "")
    values = {
        **items,
        "ECN": number,
        "GYO": data["declared_by"],
        "STS": progress(data),
        "IID": date_of(data.get("approved_at")),
        "HID": date_of(data.get("amended_at")),
        "CHN": office_name(definition, data, context),
        "AGC": data["declarant"][:5],
        "STN": place[1].upper() if place else "",
        "AWB": next(iter(definition.cargoes(items)), ""),
        "CMN": next(iter(names), "") if isinstance(names, list) else names,
        "JKN": data.get("condition", ""),
    }
    layout = layout_of(context, "SZEDCG.out")
    return (Output(f"{letter_of(data)}ZEDCG", "P", filled(layout, values), Party(place=code), "SZEDCG.out"),)


def examination_copies(
    definition: Declaration,
    code: str,
    number: str,
    data: Mapping[str, Any],
    context: Context,
    to: Sender | Originator,
    *,
    table: str = "copy-export",
) -> tuple[Output, ...]:
    """申告控 (kind P) for the declarant and customs, and 検査指定票 for the declarant if customs wants to inspect."""
    copies = tuple(
        copy(definition, code, "P", number, data, context, one, table=table) for one in to_customs_too(to, context)
    )
    if data["examination"]["kind"] != "inspection":
        return copies
    items = data["items"]
    place = context.records.place(str(items.get("ST", "")))
    names = {
        "検査等区分内容": _EXAMINATION_NAMES["inspection"],
        "申告等番号": number,
        "申告者": data["declarant"][:5],
        "貨物番号": next(iter(definition.cargoes(items)), ""),
        "通関蔵置場コード": items.get("ST", ""),
        "通関蔵置場名": place[1].upper() if place else "",
        "輸出入者コード": items.get("EXC", ""),
        "輸出入者名": items.get("EXN", ""),
        "年月日": date_of(data["declared_at"]),
        "仕向（出）地": items.get("FDC", ""),
        "審査区分コード": EXAMINATIONS["inspection"],
        "審査区分名": _EXAMINATION_NAMES["inspection"],
        "検査実施場所コード": items.get("ST", ""),
    }
    ids = {**items, "JYO": data.get("declared_as", "")}
    return (*copies, form(f"{letter_of(data)}ZEDCIN", "P", ids, names, context, to, table="inspection"))


def permit_set(
    definition: Declaration, number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator
) -> tuple[Output, ...]:
    """輸出許可通知 for the declarant and 許可貨物情報 for the warehouse."""
    permit = copy(definition, "AE1LF3", "P", number, data, context, to, table="permit-export")
    return (permit, *goods_information(definition, number, data, context))
