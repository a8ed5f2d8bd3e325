"""codes and explain: what is implemented, what a code means, how sure that is (house 2; principle 4 of style)."""

import pytest

from sekisho.handlers import HANDLERS, business_codes, is_of

from .commands import sekisho


def test_codes_lists_every_business_code_with_its_status() -> None:
    """The list says what is decided and what is only read and answered, so that nobody takes one for the other."""
    listed = sekisho("codes", "--json").json
    rows = {row["code"]: row for row in listed if row["system"] != "EDIFACT"}
    assert rows.keys() == business_codes().keys()
    assert {code for code, row in rows.items() if row["status"] == "decided"} == {
        code for code, handler in HANDLERS.items() if is_of(handler)
    }
    assert rows["UEA"]["table"] == "EDA.in.tsv"
    lines = sekisho("codes").lines
    assert lines[0].split() == ["code", "title", "system", "kind", "status", "table", "source"]
    assert len(lines) == len(listed) + 1


def test_codes_of_a_business_prints_its_item_table_outputs_and_results() -> None:
    """House 2: one code: its printed item table, outputs, result codes."""
    form = sekisho("codes", "OLC20", "--json").json
    assert [(item["id"], item["size"], item["required"]) for item in form["items"]] == [
        ("OLT", 11, "M"),
        ("IKS", 1, "C"),
    ]
    assert (form["fixed_bytes"], form["rows"], form["key"], form["status"]) == (16, 0, "OLT", "decided")
    assert [output["code"] for output in form["outputs"]][:2] == ["*SOLC20", "SAS0371"]
    assert ("S0001", "OLT", "official text") in [(r["code"], r["item"], r["sure"]) for r in form["results"]]
    page = sekisho("codes", "olc20").out
    for part in ("保税運送申告番号", "SAS0371", "保税運送申告番号必須", "PROVISIONAL"):
        assert part in page


def test_codes_says_which_ids_are_ours() -> None:
    """Item ids marked id=ours must not be shown to users as official (layouts, "Reading rules")."""
    form = sekisho("codes", "SAS1360", "--json").json
    ours = {item["id"] for item in form["items"] if item["id_is_ours"]}
    assert "REG" in ours
    assert "OLT" not in ours
    assert (form["row_bytes"], form["rows"], form["sent_by"]) == (14, 100, ["OLA"])
    lines = sekisho("codes", "SAS1360").lines
    marked = {line.split()[1].rstrip("*") for line in lines if len(line.split()) > 1 and line.split()[1].endswith("*")}
    assert ours <= marked
    assert "OLT" not in marked


def test_codes_lists_outputs_and_finds_a_table_by_name() -> None:
    """Outputs without a code of their own (result notices) are found by the name of their table."""
    assert "RESULT-11.out.tsv" in sekisho("codes", "--outputs").out
    assert sekisho("codes", "result-11", "--json").json["fixed_bytes"] == 90
    assert sekisho("codes", "SAD1AG2", "--json").json["table"] == "permit-import.out.tsv"


def test_unknown_codes_end_with_1_and_the_nearest_ones() -> None:
    """What happened, and what to do."""
    ran = sekisho("codes", "OLX")
    assert ran.code == 1
    assert "OLA" in ran.err
    assert sekisho("codes", "999999").err.endswith("`sekisho codes` lists all\n")


def test_hours_of_a_business_are_shown() -> None:
    """URY runs from 0:00 to 23:00 (wire reference 8)."""
    assert sekisho("codes", "URY", "--json").json["hours"] == "00:00-23:00"


def test_explain_a_result_code_of_a_business() -> None:
    """The meaning of most codes depends on the business: OLC20 S0002 is about 搬入時・開庁時識別."""
    form = sekisho("explain", "S0002", "--for", "OLC20", "--json").json
    assert form["item"].startswith("IKS  搬入時・開庁時識別, no 3")
    assert "搬入時・開庁時識別誤り" in form["meaning"]
    assert form["cause"]
    assert form["remedy"]
    assert form["sure"] == "official text"


def test_explain_takes_the_15_characters_of_a_notice() -> None:
    """A result is written ccccc-iiii-rrrr (wire reference 4.1); all three parts are explained."""
    form = sekisho("explain", "S9001-CG_ -0002", "--for", "OLA", "--json").json
    assert (form["code"], form["row"]) == ("S9001", "2")
    assert form["item"].startswith("CG_  貨物管理番号, no 26")
    assert "provisional" in form["sure"]


def test_explain_a_code_of_every_business_needs_no_business() -> None:
    """A codes, 00000 and U0001 mean the same everywhere (wire reference 4.3)."""
    for code, word in (("A0008", "電文長誤り"), ("00000", "正常終了"), ("U0001", "仮パスワード")):
        form = sekisho("explain", code, "--json").json
        assert word in form["meaning"]
        assert form["business"] == ""


def test_explain_without_a_business_lists_all_that_know_the_code() -> None:
    """S0002 means something else in every business; each meaning is named with its business."""
    forms = sekisho("explain", "S0002", "--json").json
    assert {"OLC20", "IEU"} <= {form["business"] for form in forms}
    assert "S0002 OLC20" in sekisho("explain", "S0002").lines


def test_explain_an_output_code() -> None:
    """An output code: what it is, its kind, who sends it, how sure; own codes are said to be own."""
    form = sekisho("explain", "SAS1360", "--json").json
    assert form["meaning"] == "保税運送申告入力控（OLA）"
    assert form["kind"].startswith("C ")
    assert form["sent by"] == "OLA"
    assert "how OLA ended" in sekisho("explain", "*SOLA").out
    assert "official one is unknown" in sekisho("explain", "SZOLA11").out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["XX"], "not known"),
        (["OLA"], "`sekisho codes OLA` shows it"),
        (["S0001", "--for", "QQQ"], "no such business code"),
        (["Z1234", "--for", "OLA"], "not known in OLA"),
    ],
)
def test_explain_what_is_unknown_ends_with_1(args: list[str], said: str) -> None:
    """An unknown code is not an empty answer."""
    ran = sekisho("explain", *args)
    assert (ran.code, ran.data) == (1, b"")
    assert said in ran.err


def test_a_mistyped_command_is_named() -> None:
    """Exit 2 with the nearest command."""
    ran = sekisho("cods")
    assert ran.code == 2
    assert 'did you mean "codes"?' in ran.err
    assert sekisho("decode", "--jsn", "-").code == 2


def test_own_modules_that_fail_are_one_line() -> None:
    """--handlers names a module; one that is not there is said in a line."""
    ran = sekisho("codes", "--handlers", "no.such.module")
    assert ran.code == 2
    assert ran.err.startswith("sekisho: --handlers no.such.module: No module named")


def test_codes_lists_the_messages_of_edifact_and_the_releases_there_are_tables_of() -> None:
    """Ten message types NACCS adopts, twelve releases of the directories (CONTRL by syntax version)."""
    rows = {row["code"]: row for row in sekisho("codes", "--json").json if row["system"] == "EDIFACT"}
    assert len(rows) == 10
    assert rows["CUSCAR"]["table"].split()[0::11] == ["D.95B", "D.12B"]
    form = sekisho("codes", "PAXLST", "--release", "D.12B", "--json").json
    assert [row["tag"] for row in form["segments"][:3]] == ["UNH", "BGM", "RFF"]
    assert sekisho("codes", "cuscar").lines[0].startswith("CUSCAR")
    missing = sekisho("codes", "CUSCAR", "--release", "D.77A")
    assert (missing.code, "no tables of release D.77A" in missing.err) == (1, True)


@pytest.mark.parametrize("asked", [("EDIFACT-29",), ("29", "--for", "EDIFACT"), ("29", "--for", "edifact")])
def test_explain_says_what_an_edifact_error_means(asked: tuple[str, ...]) -> None:
    """Codes of element 0085 are numbers, so they are asked for by name."""
    form = sekisho("explain", *asked, "--json").json
    assert form["code"] == "EDIFACT-29"
    assert "count" in form["meaning"]
    assert form["syntax 4"] == "in force"


def test_explain_knows_no_other_edifact_code() -> None:
    """Element 0085 ends at 48."""
    ran = sekisho("explain", "EDIFACT-77")
    assert (ran.code, "no code of element 0085" in ran.err) == (1, True)


def test_codes_of_a_business_that_only_edifact_may_ask_for() -> None:
    """No item table is shown where none is known; the message, how sure that is, and the result codes are."""
    rows = {row["code"]: row for row in sekisho("codes", "--json").json}
    assert (rows["MFR"]["status"], rows["MFR"]["table"], rows["MFR"]["source"]) == (
        "edifact",
        "CUSCAR (EDIFACT)",
        "inferred",
    )
    assert rows["VBX"]["source"] == "spec"
    form = sekisho("codes", "MFR", "--json").json
    assert (form["items"], form["edifact"]) == ([], "CUSCAR")
    assert ("R9009", "SGP") in [(r["code"], r["item"]) for r in form["results"]]
    page = sekisho("codes", "MFR").out
    assert "inferred" in page
    assert "bytes" not in page
    assert sekisho("codes", "CYO", "--json").json["edifact"] == "CODECO"
    assert "EQD" in sekisho("explain", "R9009", "--for", "MFR").out
