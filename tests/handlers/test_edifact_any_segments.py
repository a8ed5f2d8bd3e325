"""Whatever a message holds, its handler answers: an outcome or result codes, never another exception.

Messages of releases without a table reach their handlers unjudged (edifact 1, "Directory version").
"""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.codecs.results import Refusal
from sekisho.handlers import EDIFACT

from .house import House
from .interchanges import damaged, decide

_USUAL = """
BGM+785+MAN1+9 BGM+785+MAN1+5 BGM+34+MAN1+4 BGM+36+MAN1+1 BGM+745++9 BGM+745 BGM+785++3 BGM+785+MAN1+2
BGM+785+MAN2+7 CNI+1 CNI+1+BL1 RFF+BM:BL1 RFF+BM:BL2 RFF+BN:BK1 RFF+ACW:MAN1 GID+1+10:CT GID FTX+AAA+++TOYS
MEA+AAE+G+KGM:5 MEA+WT++TNE:1 TDT+20+XX123++++++SMPL1:::STAR TDT+10+XX123 TDT+30 DTM+178:20261120:102
DTM+189:2611201200:201 DTM+7:202611200900:203 DTM+132:X LOC+60+XXBBB LOC+165+1AC02 LOC NAD+FL+++SMITH:JOHN
NAD+FM+++A NAD+CZ EQD+CN+SMPU0000101 EQD+CN+SMPU0000102 EQD SGP+SMPU0000101+1 CNT+10:1 CNT+16:1 CNT+11:10 CNT+42:1
DOC+P+AB1 DTM+36:20301231:102 PCI+28+MARK PAC+1++CT SEL+S1 AUT+1
"""
USUAL = _USUAL.split()
VALUES = st.sampled_from(["", "1", "-1", "1.5", "BM", "CN", "KGM", "MAN1", "20", "102", "9" * 40, "\xe9", "A B", "?+"])
COMPONENTS = st.lists(VALUES, min_size=1, max_size=4).map(":".join)
TAGS = st.sampled_from(sorted({segment[:3] for segment in USUAL}))
STRANGE = st.builds(lambda tag, parts: "+".join([tag, *parts]), TAGS, st.lists(COMPONENTS, max_size=9))
SEGMENTS = st.one_of(*[st.sampled_from(USUAL)] * 9, STRANGE)
BEGINNINGS = [
    [],
    ["TDT+20+XX123++++++SMPL1:::STAR", "DTM+189:2611201200:201"],
    ["DTM+178:20261120:102", "LOC+60+XXBBB", "TDT+20+XX123++++++SMPL1"],
    ["EQD+CN+SMPU0000101"],
    ["CNI+1", "RFF+BM:BL1", "GID+1+10:CT"],
]
MESSAGES = st.builds(
    lambda bgm, begin, body: [bgm, *begin, *body],
    st.sampled_from([segment for segment in USUAL if segment.startswith("BGM")]),
    st.sampled_from(BEGINNINGS),
    st.lists(SEGMENTS, max_size=8),
)


@pytest.mark.parametrize(("kind", "business"), [(h.type, code) for h in EDIFACT.values() for code in h.codes])
@settings(max_examples=20, deadline=None)
@given(messages=st.lists(MESSAGES, min_size=1, max_size=4))
def test_any_segments_are_answered(kind: str, business: str, messages: list[list[str]]) -> None:
    """Result codes have the printed form and name a place in the message; a refusal changes nothing."""
    house = House()
    house.records.kept["vessel", "SMPL1"] = {"state": "registered", "user_code": "1ANAC", "name": "STAR"}
    for body in messages:
        unjudged = damaged(kind, body, "D:90Z:UN")
        try:
            outcome = decide(house, unjudged, business, aviation=True)
        except Refusal as refused:
            results = refused.results
            assert results
            for result in results:
                assert re.fullmatch("[SREU][0-9]{4}-[A-Z0-9]{3} -[0-9]{4}", str(result))
                assert 1 <= result.row <= len(unjudged.segments)
        else:
            assert outcome.key
