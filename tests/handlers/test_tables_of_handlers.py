"""The room's data: result lists, code values, registration."""

import re
from importlib.resources import files

import pytest

from sekisho.codecs.results import Rule, system_results
from sekisho.handlers import EDIFACT, HANDLERS, business_codes, catalogue, find, is_of, result_list
from sekisho.handlers.bonded_states import KIND
from sekisho.handlers.checks import code_values
from sekisho.handlers.plain import answer

RULES = {Rule.MISSING, Rule.CHARACTER, Rule.FORMAT, Rule.VALUE, Rule.LENGTH}
RESULTS = files("sekisho.handlers").joinpath("results")
LISTED = sorted(table.name.removesuffix(".tsv") for table in RESULTS.iterdir())


def test_every_known_list_is_there() -> None:
    """The businesses whose results are known at least in part (procedures 16)."""
    known = "OLC20 CYO OSA IDD MWA UED IEU EDD SWC UTB UOM UOD DMS01 JTM DLH01 IFA TCC"
    assert set(known.split()) <= set(LISTED)


@pytest.mark.parametrize("code", LISTED)
def test_result_list_is_well_formed(code: str) -> None:
    """Codes have a class and four digits, items stand in the request's table, each rule of an item has one number."""
    results = result_list(code)
    layout = catalogue().get(f"{code}.in")
    entry = business_codes().get(code)
    tags = {m.item for m in result_list(entry.edifact).meanings} if entry and entry.edifact else set()
    assert results.meanings
    answered = []
    for meaning in results.meanings:
        assert re.fullmatch("[UASREW][0-9]{4}", meaning.code), meaning.code
        assert meaning.meaning
        assert meaning.meaning_ja
        assert meaning.source in {"spec", "client", "inferred", "ours"}
        assert (meaning.source == "ours") == (meaning.code[1] == "9"), f"{code} {meaning.code}: ours from 9001 up"
        assert layout is None or not meaning.item or meaning.item in layout or meaning.item in tags
        rules = [rule for rule in meaning.rule.split(",") if rule]
        assert set(rules) <= RULES
        answered += [(rule, meaning.item) for rule in rules]
    assert len(answered) == len(set(answered))


def test_official_numbers_of_olc20() -> None:
    """The known part of the official list (procedures 16) answers the reading rules too."""
    results = result_list("OLC20")
    known = {(m.code, m.item) for m in results.meanings if m.source == "spec"}
    assert known == {
        ("U0001", ""),
        ("U0002", ""),
        ("U0003", ""),
        ("S0001", "OLT"),
        ("S0002", "IKS"),
        ("R0005", ""),
        ("E0001", ""),
        ("E0002", ""),
    }
    assert results.code_for(Rule.MISSING, "OLT") == "S0001"
    assert results.code_for(Rule.VALUE, "IKS") == "S0002"


@pytest.mark.parametrize(("item", "number"), [("I01", "S0001"), ("I02", "S0002"), ("PRT", "S0003")])
def test_tcc_numbers(item: str, number: str) -> None:
    """The three items of TCC answer S0001, S0002, S0003 for character and form (procedures 16)."""
    assert {result_list("TCC").code_for(rule, item) for rule in (Rule.CHARACTER, Rule.FORMAT)} == {number}


MODULES = {"attachments", "house_waybills", "inquiries", "management_documents", "warehouse"}
OF_MODULES = sorted(code for code, one in HANDLERS.items() if one.decide.__module__.rpartition(".")[2] in MODULES)


@pytest.mark.parametrize("code", ["URY", "SYG", "OLA", "OLA11", "OLC20", *OF_MODULES])
def test_every_code_a_handler_raises_is_explained(code: str) -> None:
    """What a handler can refuse with stands in its list or the common one, so that every refusal can be explained."""
    handler = HANDLERS[code]
    named = re.findall("[URE][0-9]{4}", handler.decide.__doc__ or "")
    assert code == "SYG" or named
    for number in named:
        assert result_list(code).find(number) or number in system_results()


@pytest.mark.parametrize("message_type", sorted(EDIFACT))
def test_every_code_an_edifact_handler_raises_is_explained(message_type: str) -> None:
    """The list of the message type names it, and so does that of every business code the message may become."""
    handler = EDIFACT[message_type]
    named = re.findall("[USRE][0-9]{4}", handler.decide.__doc__ or "")
    assert named
    listed = {meaning.code for meaning in result_list(message_type).meanings}
    assert set(named) == listed
    for business in handler.codes:
        assert listed <= {meaning.code for meaning in result_list(business).meanings}


def test_edifact_only_codes_are_listed_honestly() -> None:
    """Codes that EDIFACT messages may become are in codes.tsv with the message; spec where official text names it."""
    by_message = {handler.type: set(handler.codes) for handler in EDIFACT.values()}
    codes = business_codes()
    assert by_message == {
        kind: {entry.code for entry in codes.values() if entry.edifact == kind}
        for kind in {entry.edifact for entry in codes.values()} - {""}
    }
    assert {entry.code for entry in codes.values() if entry.edifact_source == "spec"} == {"VBX", "VBY"}
    assert {entry.edifact_source for entry in codes.values() if entry.edifact} == {"spec", "inferred"}
    for entry in codes.values():
        if entry.group == "EDIFACT only":
            assert catalogue().request(entry.code) is None
            assert find(entry.code) is None, "as a NACCS EDI message it is A0001"


def test_registration() -> None:
    """Every handler's code is in codes.tsv and has a table; a code without a decision gets the plain handler."""
    for code in (code for code, handler in HANDLERS.items() if is_of(handler)):
        assert code in business_codes()
        assert catalogue().request(code) is not None
    for code in (code for code in business_codes() if catalogue().request(code) is not None):
        found = find(code)
        assert found is not None
        assert found.code == code
        assert (found.decide is answer) == (code not in HANDLERS)
    assert find("NOSUC") is None


def test_code_values() -> None:
    """Names fit the items that print them; 運送目的 has the six official values (procedures 9.2)."""
    assert set(code_values("OBJ")) == {"SHI", "RES", "FED", "BAG", "KNU", "OTH"}
    assert code_values("BYA")["31"].name == "TRUCK"
    assert code_values("USS") == {}
    layout = catalogue().get("SAS1360.out")
    assert layout is not None
    for value in code_values("BYA").values():
        assert len(value.name) <= layout.item("BYN").size
        assert re.fullmatch("[1-9][0-9]?", value.code)
    for value in code_values("OBJ").values():
        assert len(value.name_ja.encode("euc_jp")) <= layout.item("OBN").size


def test_kind_of_numbers() -> None:
    """Records and numbers of the family share one kind, which settings name the pattern by."""
    assert KIND == "bonded-transport"
