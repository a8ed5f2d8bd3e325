"""What import declarations answer with: copies, permits, the warehouse's information, verdicts, screens.

*Strategy.* Copy and permit have the same lines (procedures 11), so everything known of a declaration is offered once,
by short name where the input has the item and by name else; each table takes what it has. Codes of permits follow the
known families (second letter A; G permit, J release before the permit, R approval of bonded-in); what each letter of
申告種別コード means is inferred, and the setting ``import_kinds`` replaces it. Codes with ``Z`` are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sekisho.handlers.declaration_outputs import EXAMINATIONS, date_of, letter_of, to_customs_too
from sekisho.handlers.declarations import CHANGED
from sekisho.handlers.filling import filled
from sekisho.handlers.forms import form, office_name_of
from sekisho.handlers.kit import SENDER, Context, Originator, Output, Party, Sender, layout_of
from sekisho.handlers.tariff import Good, Taxes, taxes_of, value_in_yen

__all__ = [
    "PERMITS",
    "SCREENS",
    "approval",
    "copies",
    "examination",
    "input_copy",
    "kind_of",
    "known",
    "release_notice",
    "screen",
    "worth",
]

_KINDS: Final = {
    **dict.fromkeys("FN", "delivery"),
    **dict.fromkeys("YH", "delivery special"),
    **dict.fromkeys("KDULBE", "ex-bond"),
    **dict.fromkeys("SMAG", "bonded-in"),
}
"""申告種別コード -> kind of declaration; every other one is an import (inferred; U L B E of MWA official)."""

PERMITS: Final = {
    "import": "D1AG2",
    "small": "D1DG2",
    "delivery": "D1EG2",
    "delivery special": "D1EG2",
    "ex-bond": "D1AG2",
    "bonded-in": "D1RG1",
    "released": "D1AJ2",
}
"""Kind -> output code of the permit without its first two letters (SA sea, AA air)."""

SCREENS: Final = {
    "import": "D4191",
    "small": "D4191",
    "delivery": "D4201",
    "delivery special": "D4211",
    "ex-bond": "D4221",
    "bonded-in": "D4231",
}
"""The same for IDB's screens [spec]; which kind of 蔵出 SAD6251 (引取・特例) means in letters is not known."""

_BY_NAME: Final = {
    "輸入者郵便番号": "IMY",
    "輸入者住所１（都道府県）": "IMA",
    "輸入者住所２（市区町村）": "IM2",
    "輸入者住所３（町域名・番地）": "IM3",
    "輸入者住所４（ビル名ほか）": "IM4",
    "仕出人郵便番号": "EPY",
    "仕出人住所１": "EPA",
    "仕出人住所２": "EP2",
    "仕出人住所３": "EP3",
    "仕出人住所４": "EP4",
    "仕出人国コード": "EPO",
    "申告種別１": "IC1",
    "申告種別２": "IC2",
    "貿易管理令識別": "WU",
    "輸入承認証添付識別": "IL",
    "共通管理番号": "KNO",
    "食品衛生証明識別": "FD",
    "植物防疫証明識別": "PL",
    "動物検疫証明識別": "AN",
    "包括保険番号": "IN4",
    "通関金額通貨コード": "IP3",
    "評価区分コード": "VD1",
    "評価補正区分コード": "VL1",
    "評価補正基礎額通貨コード": "VL2",
    "評価補正基礎額": "VL3",
    "評価補正補正式": "VL4",
    "戻税申告識別": "RTD",
    "内容点検等結果": "N4",
    "最初蔵入年月日": "ISD",
    "搬入予定蔵置場コード": "SMC",
    "食品届出番号": "SFN",
    "植物防疫申請番号": "SPN",
    "動物検疫申請番号": "SLN",
    "ＢＰＲ合計": "TP",
}
"""Items of the forms that repeat an item of the input under another short name."""

_ROWS_BY_NAME: Final = {
    "品目番号": "CMD",
    "品目番号（枝）": "CM2",
    "輸入令別表コード１": "IT",
    "ＢＰＲ按分係数": "BPR",
    "関税減免税額Ａ": "REG",
    "運賃按分識別１": "FRS",
    "ＢＰＲ金額通貨コード": "FOB",
    "減免税コード１": "RE",
    "事前教示（分類）": "JKB",
    "事前教示（原産地）": "JKO",
    "内国消費税等種別コード１": "TX1",
    "内国消費税等減免税コード１": "TR1",
    "内国消費税等減免税額１Ａ": "TG1",
    "内国消費税等種別コード２": "TX2",
    "内国消費税等減免税コード２": "TR2",
    "内国消費税等減免税額２Ａ": "TG2",
}
_BONDED_GOODS: Final = ("CMD", "CMN")


def kind_of(items: Mapping[str, Any], context: Context) -> str:
    """What kind of declaration it is, by 大額・少額識別 and 申告種別コード１."""
    kinds = context.business.get("import_kinds", _KINDS)
    found = str(kinds.get(items.get("IC1", ""), "import"))
    return "small" if found == "import" and items.get("LSK") == "S" else found


def _rows(items: Mapping[str, Any], name: str) -> list[str]:
    cells = items.get(name, ())
    return [cells] if isinstance(cells, str) else list(cells)


def _values(items: Mapping[str, Any], context: Context) -> list[int]:
    """課税価格 of every 欄 in yen; where none is stated and there is one 欄, the invoice's."""
    stated = [value_in_yen(text, "JPY", context) for text in _rows(items, "DPR")]
    count = max([len(stated), *(len(_rows(items, name)) for name in _BONDED_GOODS)])
    stated += [0] * (count - len(stated))
    if not any(stated):
        invoice = value_in_yen(str(items.get("IP4", "")), str(items.get("IP3", "")), context)
        return [invoice] if count <= 1 else [invoice, *[0] * (count - 1)]
    return stated


def worth(items: Mapping[str, Any], context: Context) -> int:
    """The declared value in yen: the 課税価格 of all 欄, else the invoice's price."""
    return sum(_values(items, context))


def _taxes(items: Mapping[str, Any], context: Context) -> Taxes:
    codes, kinds = _rows(items, "CMD"), _rows(items, "TX1")
    goods = [
        Good("".join(codes[row : row + 1]), value, "".join(kinds[row : row + 1]))
        for row, value in enumerate(_values(items, context))
    ]
    return taxes_of(goods, context)


_DIGITS: Final = "１２３４５６７８９"


def _numbered(name: str, cells: Sequence[Any]) -> dict[str, Any]:
    """Items whose names end in １, ２, ３ ... (１０ after ９)."""
    return {f"{name}{_DIGITS[at] if at < 9 else '１０'}": cell for at, cell in enumerate(cells[:10])}


def known(number: str, data: Mapping[str, Any], context: Context) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything known of a declaration: by short name, and by the name that forms give it."""
    items: Mapping[str, Any] = data["items"]
    place = context.records.place(str(items.get("ST", "")))
    office, due, values = office_name_of(items, context), _taxes(items, context), _values(items, context)
    bills, examination = _rows(items, "BL_"), data.get("examination")
    permitted = date_of(data.get("approved_at"))
    names: dict[str, Any] = {name: items.get(id_, "") for name, id_ in (_BY_NAME | _ROWS_BY_NAME).items()}
    names |= {
        "審査検査区分": EXAMINATIONS[examination["kind"]] if examination else "",
        "審査検査区分識別": EXAMINATIONS[examination["kind"]] if examination else "",
        "あて先税関": office,
        "申告年月日": date_of(data.get("declared_at")),
        "申告条件コード": data.get("declared_as", ""),
        "申告条件": data.get("declared_as", ""),
        "代理人コード": data["user_code"],
        "ＡＷＢ番号": "".join(bills[:1]),
        "ＭＡＷＢ番号": items.get("MAB") or "".join(bills[1:2]),
        "Ｂ／Ｌ番号３": "".join(bills[2:3]),
        "Ｂ／Ｌ番号４": "".join(bills[3:4]),
        "Ｂ／Ｌ番号５": "".join(bills[4:5]),
        "蔵置税関": office,
        "通関蔵置場コード": items.get("ST", ""),
        "通関蔵置場名": place[1].upper() if place else "",
        "通関金額": worth(items, context),
        "ＢＰＲ合計入力識別": "1" if items.get("TP") else "",
        "納税額合計": due.total,
        "担保額": due.total if any(_rows(items, "SC_")) else "",
        "口座識別": "1" if items.get("PF") else "",
        "構成枚数": 1,
        "申告欄数": len(values) if any(_rows(items, "CMD")) or any(values) else 0,
        "輸入者（入力）": items.get("IMC", ""),
        "輸入取引者（入力）": items.get("NMC", ""),
        "税関通知欄": data.get("officer_note", ""),
        "輸入許可年月日": permitted,
        "審査終了年月日": permitted,
    }
    names |= _numbered("関税法７０条関係許可承認", _rows(items, "OL_"))
    names |= _numbered("輸入承認証等識別", _rows(items, "S_")) | _numbered("輸入承認証番号等", _rows(items, "N_"))
    names |= _numbered("包括評価申告受理番号", _rows(items, "VN_"))
    names |= _numbered("事前教示（評価）", _rows(items, "JKH_"))
    for at, (subject, name, total, lines) in enumerate(due.subjects):
        digit = _DIGITS[at]
        names |= {f"税科目コード{digit}": subject, f"税科目名{digit}": name}
        names |= {f"税額合計{digit}": total, f"税額合計欄数{digit}": lines}
    names |= {
        "欄番号": [f"{row:02d}" for row in range(1, len(values) + 1)],
        "申告価格（ＣＩＦ）Ａ": [value or "" for value in values],
        "関税率": list(due.rates),
        "関税額": [line[0] for line in due.lines],
        "内国消費税等科目名１": ["消費税" if line[1] else "" for line in due.lines],
        "内国消費税等税額１": [line[1] for line in due.lines],
        "内国消費税等科目名２": ["地方消費税" if line[2] else "" for line in due.lines],
        "内国消費税等税額２": [line[2] for line in due.lines],
    }
    return {**items, "ICN": number, "JYO": data.get("declared_as", "")}, names


def input_copy(
    code: str, number: str, data: Mapping[str, Any], context: Context, table: str = "copy-import"
) -> Output:
    """入力控 of a registration or a registered change (kind C): ``code`` is the business, the output code ours."""
    ids, names = known(number, data, context)
    return form(f"{letter_of(data)}Z{code}", "C", ids, names, context, table=table)


def examination(
    number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator
) -> tuple[Output, ...]:
    """申告控 (kind P) for the declarant and, where it has a box, for customs; 検査指定票 where goods are looked at."""
    return copies(number, data, context, to, "copy-import")


def copies(
    number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator, table: str
) -> tuple[Output, ...]:
    """The same by a table of that name; the output code is ours, of the business that declared."""
    ids, names = known(number, data, context)
    code = f"{letter_of(data)}Z{'IDE' if data['state'] == CHANGED else data['declared_by']}"
    out = [form(code, "P", ids, names, context, one, table=table) for one in to_customs_too(to, context)]
    if data["examination"]["kind"] == "inspection":
        slip = names | _inspected(ids, names)
        out.append(form(f"{letter_of(data)}ZINSPI", "P", ids, slip, context, to, table="inspection"))
    return tuple(out)


def _inspected(ids: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """What 検査指定票 calls otherwise. A form of one line of goods names the first."""
    return {
        "検査等区分内容": "検査",
        "申告者": names["代理人コード"],
        "貨物番号": names["ＡＷＢ番号"] or ids.get("HAB", ""),
        "積載船（機）名１": ids.get("VSN", ""),
        "品名": "".join(_rows(ids, "CMN")[:1]),
        "輸出入者コード": ids.get("IMC", ""),
        "輸出入者名": ids.get("IMN", ""),
        "審査区分コード": EXAMINATIONS["inspection"],
        "検査実施場所コード": ids.get("ST", ""),
    }


def approval(
    number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator = SENDER
) -> tuple[Output, ...]:
    """Permit, release or approval (kind P) for the declarant; 許可・承認貨物情報 for the user of its place (EXC)."""
    items, first = data["items"], letter_of(data)
    kind = "released" if items.get("BP") else kind_of(items, context)
    ids, names = known(number, data, context)
    out = [form(f"{first}A{PERMITS[kind]}", "P", ids, names, context, to, table="permit-import")]
    if items.get("ST"):
        out.append(release_notice(number, data, context))
    return tuple(out)


def release_notice(number: str, data: Mapping[str, Any], context: Context) -> Output:
    """許可・承認貨物情報 for whoever has the goods: a code and a table of ours."""
    items = data["items"]
    bills = [text for text in _rows(items, "BL_") if text] or [text for text in (items.get("HAB", ""),) if text]
    values = {
        "ICN": number,
        "GYO": data["declared_by"],
        "IID": date_of(data.get("approved_at")),
        "ST": items.get("ST", ""),
        "IMC": items.get("IMC", ""),
        "IMN": items.get("IMN", ""),
        "AGC": data["user_code"],
        "NO": items.get("NO", ""),
        "NOT": items.get("NOT", ""),
        "GW": items.get("GW", ""),
        "GWT": items.get("GWT", ""),
        "BL_": bills,
    }
    return form(f"{letter_of(data)}ZIDCW", "P", values, {}, context, Party(place=items["ST"]), table="SZIDCW")


def screen(code: str, table: str, values: Mapping[str, Any], context: Context) -> Output:
    """A call-up's screen (kind C): the item table of the register business, filled; ``table`` as ``IDA.in``."""
    return Output(code, "C", filled(layout_of(context, table), values), layout=table)
