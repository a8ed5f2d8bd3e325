"""What the Okinawa duty-free scheme answers with: copies, permits, payment papers (procedures 3).

*Strategy.* The forms share item names, not short names (:mod:`sekisho.handlers.forms`), so everything known of a
declaration is offered once by name. Which code means what is official only for SAD4011, SAD4031, SAD4041, SAD4071,
SAD4081, SAD4131 and the SAF codes; SAD4051 to SAD4111 have no known title and are not sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sekisho.handlers.declaration_outputs import to_customs_too
from sekisho.handlers.forms import form, office_name_of
from sekisho.handlers.kit import SENDER, Context, Originator, Output, Party, Sender
from sekisho.handlers.tariff import Good, Taxes, security_short, taxes_of, value_in_yen

__all__ = [
    "account_notice",
    "copy",
    "declaration_copy",
    "goods_value",
    "input_copy",
    "permit_set",
    "shortage",
    "taxes",
    "verdict",
]

_ROWS: Final = ("SKC", "CMN", "HTK", "HSR", "CMD", "CM2", "OR", "ORS", "QN1", "QT1", "QN2", "QT2", "DPR", "TX1", "TX2")
_TAXED: Final = "1"
"""関税対象 that means duty is charged; blank and anything else: exempt (letters unknown, our choice)."""


def _goods(items: Mapping[str, Any]) -> list[dict[str, str]]:
    """The 商品 rows, each by short name."""
    names = (*_ROWS, "KZT", "INN")
    count = max((len(items.get(name, ())) for name in names), default=0)
    return [{name: (list(items.get(name, ())) + [""] * count)[row] for name in names} for row in range(count)]


def _worth(good: Mapping[str, str], context: Context) -> int:
    """課税価格, else price times quantity."""
    if good["DPR"]:
        return value_in_yen(good["DPR"], "JPY", context)
    return value_in_yen(good["HTK"], "JPY", context) * value_in_yen(good["HSR"], "JPY", context)


def goods_value(items: Mapping[str, Any], context: Context) -> int:
    """Yen of all goods."""
    return sum(_worth(good, context) for good in _goods(items))


def taxes(items: Mapping[str, Any], context: Context) -> Taxes:
    """What the declaration costs."""
    goods = [
        Good(good["CMD"], _worth(good, context), good["TX1"], dutiable=good["KZT"] == _TAXED) for good in _goods(items)
    ]
    return taxes_of(goods, context)


def _names(data: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Everything known of a declaration, by item name."""
    items, goods = data["items"], _goods(data["items"])
    due = taxes(items, context)
    count = range(len(goods))
    declared, permitted = data.get("declared_at", "")[:10], data.get("permitted_at", "")[:10]
    title = ("承認年月日" if data["items"].get("BP") else "許可年月日") if permitted else ""
    return {
        "宛先税関コード": office_name_of(items, context),
        "宛先部門コード": items.get("CHB", ""),
        "申告年月日": declared.replace("-", ""),
        "旅客氏名": items.get("RKN", ""),
        "搭乗航空会社名": items.get("ALC", ""),
        "旅客郵便番号": items.get("RKY", ""),
        "旅客住所１都道府県": items.get("RA1", ""),
        "旅客住所２市区町村": items.get("RA2", ""),
        "旅客住所３町域名・番地": items.get("RA3", ""),
        "旅客住所４ビル名": items.get("RA4", ""),
        "代理人コード": data["user_code"],
        "購入価格の合計": sum(_worth(good, context) for good in goods),
        "関税免除済購入額": items.get("MJG", ""),
        "税科目コード": [subject[0] for subject in due.subjects],
        "税科目名": [subject[1] for subject in due.subjects],
        "税額合計": [subject[2] for subject in due.subjects],
        "税額合計欄数": [subject[3] for subject in due.subjects],
        "納税額合計": due.total,
        "担保額": due.total if items.get("SC1") else "",
        "口座識別": "1" if items.get("PF") else "",
        "構成枚数": 1,
        "申請欄数": len(goods),
        "社内整理用番号": items.get("REF", ""),
        "税関官署長名": "",
        "許可・承認年月日タイトル": title,
        "許可・承認年月日": permitted.replace("-", ""),
        "欄番号": [f"{row + 1:02d}" for row in count],
        "関税課税物品表示": ["*" if good["KZT"] == _TAXED else "" for good in goods],
        "関税免除物品表示": ["" if good["KZT"] == _TAXED else "*" for good in goods],
        "販売価格（単価）": [good["HTK"] for good in goods],
        "数量単位コード": [good["QT1"] for good in goods],
        "関税課税価格": [_worth(good, context) or "" for good in goods],
        "関税課税入力有表示": ["*" if good["DPR"] else "" for good in goods],
        "関税率": list(due.rates),
        "関税額": [line[0] for line in due.lines],
        "ＩＮＮ等対象識別": [good["INN"] for good in goods],
        "内国消費税等科目名１": ["消費税" if line[1] else "" for line in due.lines],
        "内国消費税等種別１": [good["TX1"] for good in goods],
        "内国消費税等税額１": [line[1] or "" for line in due.lines],
        "内国消費税等科目名２": ["地方消費税" if line[2] else "" for line in due.lines],
        "内国消費税等種別２": [good["TX2"] for good in goods],
        "内国消費税等税額２": [line[2] or "" for line in due.lines],
    }


def copy(
    code: str,
    kind: str,
    number: str,
    data: Mapping[str, Any],
    context: Context,
    to: Sender | Originator | Party = SENDER,
) -> Output:
    """The form ``code`` of the declaration."""
    return form(code, kind, {**data["items"], "ICN": number}, _names(data, context), context, to)


def input_copy(number: str, data: Mapping[str, Any], context: Context) -> Output:
    """入力控 of OTA."""
    return copy("SAD4011", "C", number, data, context)


def declaration_copy(
    number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator
) -> tuple[Output, ...]:
    """申告控, or the copy of an application for release before the permit where ＢＰ申請事由 is given; customs' too."""
    code = "SAD4041" if data["items"].get("BP") else "SAD4031"
    return tuple(copy(code, "P", number, data, context, one) for one in to_customs_too(to, context))


def permit_set(
    number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator
) -> tuple[Output, ...]:
    """Permit or release, payment papers where something is due, and 許可・承認貨物情報 for the place's user (EXC)."""
    items = data["items"]
    out = [copy("SAD4081" if items.get("BP") else "SAD4071", "P", number, data, context, to)]
    due = taxes(items, context)
    if due.total and not items.get("BP") and not items.get("PF"):
        if items.get("NOF") in context.business.get("payment_by_number", ("M",)):
            out.append(_payment_number(number, data, due, context, to))
        else:
            out += [_payment_slip(number, data, slip, context, to) for slip in _slips(due)]
    if items.get("ST"):
        out.append(copy("SAD4131", "P", number, data, context, Party(place=items["ST"])))
    return tuple(out)


def _slips(due: Taxes) -> list[tuple[str, str, int]]:
    """What is paid by one slip each: letter, 受入科目名, yen. Both consumption taxes are paid together."""
    totals = {subject: total for subject, _, total, _ in due.subjects}
    consumption = totals.get("F", 0) + totals.get("A", 0)
    slips = [("D", "関税", totals.get("D", 0)), ("F", "消費税及び地方消費税", consumption)]
    return [slip for slip in slips if slip[2]]


def _payment_slip(
    number: str, data: Mapping[str, Any], slip: tuple[str, str, int], context: Context, to: Sender | Originator
) -> Output:
    """納付書情報（直納）: one slip, its three parts alike."""
    subject, name, yen = slip
    items, today = data["items"], f"{context.now:%Y%m%d}"
    year = f"{(context.now.year if context.now.month >= 4 else context.now.year - 1) - 2018:02d}"  # 令和, from April
    once: dict[str, Any] = {"輸入申告番号": number, "受入科目コード": subject}
    for part in ("１片", "２片", "３片"):
        once |= {
            f"所属年度（{part}）": year,
            f"輸入申告等番号（{part}）": number,
            f"受入科目名（{part}）": name,
            f"代理人（{part}）": data["user_code"],
            f"納税義務者名（{part}）": items.get("RKN", ""),
            f"本税額（{part}）": yen,
            f"合計額（{part}）": yen,
            f"当初申告表示（{part}）": "*",
            f"出力年月日（{part}）": today,
            f"納税義務者住所１（{part}）": items.get("RA1", ""),
            f"納税義務者住所２（{part}）": items.get("RA2", ""),
            f"納税義務者住所３（{part}）": items.get("RA3", ""),
            f"納税義務者住所４（{part}）": items.get("RA4", ""),
        }
    once["納税義務者住所"] = " ".join(str(items[name]) for name in ("RA1", "RA2", "RA3", "RA4") if items.get(name))
    return form("SAF0010", "P", {"ICN": number}, once, context, to)


def _payment_number(
    number: str, data: Mapping[str, Any], due: Taxes, context: Context, to: Sender | Originator
) -> Output:
    """納付番号通知情報: 納付番号 is the declaration's."""
    items = data["items"]
    subjects: Sequence[tuple[str, str, int, int]] = due.subjects
    digits = "１２３４５６７"
    names: dict[str, Any] = {
        "納付番号": number,
        "納税義務者名": items.get("RKN", ""),
        "納税義務者住所１": items.get("RA1", ""),
        "納税義務者住所２": items.get("RA2", ""),
        "納税義務者住所３": items.get("RA3", ""),
        "納税義務者住所４": items.get("RA4", ""),
        "利用者コード": data["user_code"],
        "輸入申告等番号": number,
        "当初申告表示": "*",
        "税額合計": due.total,
        "通知日": f"{context.now:%Y%m%d}",
    }
    for digit, (letter, name, total, _) in zip(digits, subjects, strict=False):
        names |= {f"受入科目コード{digit}": letter, f"受入科目名{digit}": name, f"税額{digit}": total}
    return form("SAF0021", "P", {}, names, context, to)


def shortage(
    number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator
) -> tuple[Output, ...]:
    """担保不足通知 where the named security does not cover the taxes; nothing else."""
    items = data["items"]
    missing = security_short(str(items.get("SC1", "")), taxes(items, context).total, context)
    if not missing:
        return ()
    names = {"代理人コード": data["user_code"], "担保登録番号１": items["SC1"], "担保不足額": missing}
    ids = {"ICN": number, "IMN": items.get("RKN", "")}
    return (form("SAF0221", "P", ids, names, context, to),)


def account_notice(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> Output:
    """口座使用不可通知情報."""
    items = data["items"]
    names = {"代理人コード": data["user_code"], "納税額合計": taxes(items, context).total, "口座使用不可識別": "1"}
    return form("SAF0211", "P", {"ICN": number, "PF": items["PF"], "IMN": items.get("RKN", "")}, names, context, to)


def verdict(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> Output:
    """審査結果: refused, or correction wanted."""
    values = {
        "ICN": number,
        "RES": "R" if data["state"] == "refused" else "C",
        "DTM": f"{context.now:%Y%m%d}",
        "TIM": f"{context.now:%H%M}",
        "CHN": office_name_of(data["items"], context),
        "NT1": data.get("officer_note", ""),
        "REF": data["items"].get("REF", ""),
    }
    return form("SZOTC", "P", values, {}, context, to)
