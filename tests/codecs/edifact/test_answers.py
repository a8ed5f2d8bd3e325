"""CONTRL, CUSRES and APERAK as they leave: exact text, every code of element 0085, every release."""

from dataclasses import replace

import pytest

from sekisho.codecs.edifact import (
    Answer,
    ApplicationError,
    Interchange,
    Level,
    NotAnswerable,
    Outgoing,
    OutgoingMessage,
    Profile,
    aperak,
    build,
    contrl,
    cusres,
    error_codes,
    message_rows,
    read,
)
from sekisho.codecs.edifact.directory import RELEASES

HEAD = "UNB+UNOA:%s+SND+RCV+%s:1200+R2'"
CUSREP = "UNH+1+CUSREP:D:95B:UN'BGM+85+X+9'%sUNT+%s+1'"
END = "UNZ+1+R2'"


def answered(text: str, *, receipt: bool = False) -> str:
    """The CONTRL for a transmission of one interchange, from UCI to UNT."""
    report = read(text.encode("latin-1"))
    one = report.interchanges[0]
    errors = report.errors_of(one)
    raw = contrl(one, errors, reference="C1", date="20250102", time="0900", receipt=receipt).decode("latin-1")
    assert read(raw.encode("latin-1"), Profile(strict=True)).valid, raw
    return raw[raw.index("UNH") :]


def v3(body: str) -> str:
    """An interchange of syntax version 3 around a body."""
    return HEAD % (3, "250101") + body + END


def v4(body: str) -> str:
    """The same of version 4."""
    return HEAD % (4, "20250101") + body + END


def test_acceptance_is_one_uci_with_action_7() -> None:
    """Section 5.1: the interchange is acknowledged, all below too unless named."""
    assert answered(v3(CUSREP % ("", 3))) == "UNH+1+CONTRL:D:3:UN'UCI+R2+SND+RCV+7'UNT+3+1'UNZ+1+C1'"


def test_receipt_is_action_8_whatever_is_wrong() -> None:
    """8: received, a report on the rest is owed."""
    assert "UCI+R2+SND+RCV+8'" in answered(v3(CUSREP % ("", 9)), receipt=True)


def test_a_wrong_count_of_segments_is_named_at_ucm() -> None:
    """The first example of section 5.1, word for word but for the references."""
    assert answered(v3(CUSREP % ("", 4))).startswith(
        "UNH+1+CONTRL:D:3:UN'UCI+R2+SND+RCV+7'UCM+1+CUSREP:D:95B:UN+4+29+UNT+2'UNT+4+1'"
    )


def test_a_long_component_is_named_at_ucd() -> None:
    """The second example of section 5.1: segment 4, second element, first component."""
    body = CUSREP % ("DTM+137:20250101:102'LOC+9+" + "J" * 26 + "'", 5)
    assert answered(v3(body)).startswith(
        "UNH+1+CONTRL:D:3:UN'UCI+R2+SND+RCV+7'UCM+1+CUSREP:D:95B:UN+4'UCS+4'UCD+39+3:1'UNT+6+1'"
    )


def test_a_missing_segment_is_named_by_the_one_before_it() -> None:
    """0096 of a missing segment: the last one handled before its place."""
    assert "UCM+1+CUSREP:D:95B:UN+4'UCS+1+13'" in answered(v3("UNH+1+CUSREP:D:95B:UN'DTM+137:20250101:102'UNT+3+1'"))


def test_syntax_version_4_is_answered_by_message_4_1_with_the_repeat() -> None:
    """The version 4 message answers version 4 alone; S011 holds 0136 there, and the date has eight digits."""
    pax = "UNH+1+PAXLST:D:05B:UN'BGM+745'NAD+MS'TDT+20*21+A'DTM+189:1:201'NAD+FL'UNT+7+1'"
    told = answered(v4(pax))
    assert told.startswith("UNH+1+CONTRL:4:1:UN'UCI+R2+SND+RCV+7'UCM+1+PAXLST:D:05B:UN+4'UCS+4'UCD+35+2::2'")


def test_groups_are_named_by_ucf_and_their_messages_below() -> None:
    """SG3: UCF acknowledges a group whose messages are named, and rejects one that is wrong itself."""
    group = "UNG+CUSREP+A+B+250101:1200+G1+UN+D:95B'%sUNE+%s+G1'"
    inside = answered(v3(group % (CUSREP % ("", 4), 1)))
    assert "UCI+R2+SND+RCV+7'UCF+G1+A+B+7'UCM+1+CUSREP:D:95B:UN+4+29+UNT+2'" in inside
    itself = answered(v3(group % (CUSREP % ("", 3), 2)))
    assert "UCI+R2+SND+RCV+7'UCF+G1+A+B+4+29+UNE+2'UNT" in itself


def test_a_contrl_is_never_answered() -> None:
    """E68."""
    report = read(v3("UNH+1+CONTRL:D:3:UN'UCI+R9+RCV+SND+7'UNT+3+1'").encode())
    with pytest.raises(NotAnswerable):
        contrl(report.interchanges[0], [], reference="C1", date="20250102", time="0900")


@pytest.mark.parametrize("version", ["3", "4"])
@pytest.mark.parametrize("code", sorted(error_codes()))
def test_every_code_is_sent_where_it_is_in_force_and_as_18_where_not(code: str, version: str) -> None:
    """Section 5.2: codes not in force in the answering version are never sent."""
    text = v3(CUSREP % ("", 4)) if version == "3" else v4(CUSREP % ("", 4))
    report = read(text.encode())
    one: Interchange = report.interchanges[0]
    error = replace(report.errors[0], code=code, level=Level.MESSAGE)
    raw = contrl(one, [error], reference="C1", date="20250102", time="0900").decode()
    known = error_codes()[code]
    in_force = (known.v4 if version == "4" else known.v3) == "yes"
    assert f"+4+{code if in_force else 18}+UNT+2'" in raw


def test_the_codes_in_force_are_those_of_the_code_list() -> None:
    """Section 5.2: 2, 7, 12-43 for version 3; twenty-six codes for version 4."""
    codes = error_codes()
    assert {int(code) for code, one in codes.items() if one.v3 == "yes"} == {2, 7, *range(12, 44)}
    expected = {2, 7, *range(12, 19), *range(20, 27), 28, 29, 30, 32, 33, 35, 36, 37, 39, 40, 45, 46, 47, 48}
    assert {int(code) for code, one in codes.items() if one.v4 == "yes"} == expected
    assert all(one.meaning and one.cause and one.remedy for one in codes.values())


def sent(message: OutgoingMessage) -> bytes:
    """One message in an interchange of ours."""
    return build(Outgoing(("CENTRE",), ("RCV", "ZZ"), "1", "250101", "1200", messages=[message]))


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("accepted", [True, False])
def test_cusres_and_aperak_are_right_by_the_tables_of_every_release(release: str, *, accepted: bool) -> None:
    """D.96B turned CUSRES round and D.02B has GEI for GIS: what leaves must be acceptable to a strict reader."""
    errors = [ApplicationError("S0001", "it's wrong + more", "2", "OLT", "1", ("BM", "SMPL1"))] * 2
    answer = Answer(
        "N1", accepted, "202501011200", [("ACW", "DOC1")], [] if accepted else errors, "GOOD", "1" if accepted else ""
    )
    for message in (cusres(answer, reference="1", release=release), aperak(answer, reference="1", release=release)):
        report = read(sent(message), Profile(strict=True))
        assert report.valid, report.errors
        assert report.findings == []


def test_the_answer_of_the_business_names_code_and_item() -> None:
    """Result code in ERC, item in ERP, verdict in BGM 4343 (AP or RE)."""
    answer = Answer("N1", False, "202501011200", [("ACW", "D1")], [ApplicationError("S0001", "WRONG", "2", "OLT", "3")])
    text = sent(cusres(answer, reference="1")).decode()
    assert "BGM+963+N1+9+RE'" in text
    assert "ERP+2:OLT:3'ERC+S0001::ZZZ'RFF+ACW:D1'" in text
    assert "ERC+S0001::ZZZ'FTX+AAO+++OLT 3?: WRONG'" in sent(aperak(answer, reference="1")).decode()


def test_a_cusres_without_reference_or_tables_is_not_made() -> None:
    """D.95B has RFF as mandatory; a release nobody has tables of cannot be promised."""
    answer = Answer("N1", True, "202501011200", [])
    with pytest.raises(ValueError, match="reference"):
        cusres(answer, reference="1")
    with pytest.raises(ValueError, match="tables"):
        cusres(replace(answer, references=[("ACW", "1")]), reference="1", release="D.77A")


def test_the_messages_with_tables_are_the_ten_that_naccs_adopts() -> None:
    """Section 2.1."""
    assert [row["message"] for row in message_rows()] == [
        "CUSRES", "CUSREP", "CUSCAR", "PAXLST", "CODECO", "IFTMIN", "IFTMBC", "IFTMCS", "APERAK", "CONTRL",
    ]  # fmt: skip
