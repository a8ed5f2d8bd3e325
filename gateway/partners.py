"""EDIFACT partners: whose interchanges are read, how, and what becomes of each message.

*Strategic choice.* What NACCS leaves unknown of EDIFACT (ids, syntax, directories, when a CONTRL is sent) is a key of
``[[partner]]``; a key that is not set is not checked. The profile of the codec is derived from it, so nothing else in
the gateway knows what was agreed.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from sekisho.codecs.edifact.profile import Profile

__all__ = ["ANSWERS", "BUSINESS_CODES", "Opening", "Partner", "Partners", "opening_of", "problems_of"]

Filled = Annotated[str, Meta(min_length=1)]

BUSINESS_CODES: Final[Mapping[str, str]] = {
    "CUSREP": "VBX",
    "CUSCAR": "MFR",
    "CODECO": "CYA",
    "CODECO:34": "CYA",
    "CODECO:36": "CYO",
    "IFTMBC": "BRR",
    "IFTMIN": "SIR",
    "IFTMCS": "ACL",
    "PAXLST": "PLR01",
    "PAXLST:745": "PLR01",
    "PAXLST:250": "NLR01",
}
"""Message type, or type and document code of BGM (1001), -> business code where the profile says nothing.

VBX takes CUSREP [spec]; the rest is inferred from what the messages are for, and provisional.
"""

ANSWERS: Final = ("CONTRL", "APERAK")
"""Answers to interchanges of ours: taken from everybody, never mapped to a business."""

_TEST: Final[Mapping[str, frozenset[str] | None]] = {
    "": None,
    "forbidden": frozenset({"0"}),
    "required": frozenset({"1", "2", "3", "4", "5"}),
}
_OPENING_BYTES: Final = 4096
"""UNA, UNB, UNG, UNH and BGM take a few hundred."""
_ID: Final = re.compile(r"[^:]{1,35}(?::[^:]{1,4})?")
_SYNTAX: Final = re.compile(r"[A-Z]{4}:[1-4]")
_RELEASE: Final = re.compile(r"|[A-Z]\.[0-9]{2}[A-C]")
_TYPE: Final = re.compile(r"[A-Z]{6}(?::[0-9A-Z]{1,3})?")
_BUSINESS: Final = re.compile(r"|[A-Z0-9]{3,5}")
_USER_ID: Final = re.compile(r"[A-Z0-9]{8}")


def _check(key: str, values: Collection[str], pattern: re.Pattern[str], expected: str) -> None:
    for value in values:
        if not pattern.fullmatch(value):
            raise ValueError(key, f'"{value}"; {expected} is expected')


class Partner(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """``[[partner]]``: one sender of EDIFACT interchanges. What is left out is not checked."""

    name: Filled
    """How logs call it."""
    user: Filled
    """The user ID whose state, rights and box count for it; its sender addresses are the partner's."""
    ids: Annotated[tuple[Filled, ...], Meta(min_length=1)]
    """Its ids in UNB (0004): "TRADER1", or with the qualifier 0007 "TRADER1:ZZ"."""
    centre: tuple[Filled, ...] = ()
    """Our ids in UNB (0010), the first is ours in replies; empty: any is taken, and the one it used is ours."""
    syntaxes: tuple[Filled, ...] = ()
    """Syntax identifiers and versions agreed, like "UNOA:3"; empty: any."""
    charset: str = ""
    """Character set of its data by Python's name, where the syntax identifier does not tell."""
    directories: dict[str, str] = {}
    """Message type -> directory that judges it, like "D.95B", whatever UNH says; "": envelope only."""
    messages: dict[str, str] = {}
    """Message type, or type:document code of BGM, -> business code; "" is not agreed. Added to the usual ones."""
    contrl: Literal["always", "on-error", "on-request", "never"] = "on-error"
    """When a CONTRL is sent; on-error also answers who asks (0031), on-request nobody else."""
    duplicates: bool = True
    """Refuse an interchange reference (0020) that was taken before (CONTRL 26)."""
    accept_with: Literal["CUSRES", "APERAK"] = "CUSRES"
    """What says that a message was taken."""
    reject_with: Literal["CUSRES", "APERAK"] = "CUSRES"
    """What says that a business refused a message, with its result codes."""
    aviation: bool = False
    """The line is one of an aviation carrier: PAXLST is taken from such lines only."""
    test_indicator: Literal["", "forbidden", "required"] = ""
    """Test indicator (0035) of UNB: "" takes both."""
    max_bytes: Annotated[int, Meta(ge=100)] | None = None
    """Largest transmission; the official figure is unknown."""
    strict: bool = False
    """Refuse what is otherwise read with a finding."""
    unwrap: bool = False
    """Read files whose lines were broken inside segments (telex)."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        _check("user", [self.user], _USER_ID, "8 of A-Z and 0-9 (利用者コード 5 and 識別番号 3)")
        _check("ids", self.ids, _ID, "an id of up to 35 characters, or id:qualifier,")
        _check("centre", self.centre, _ID, "an id of up to 35 characters, or id:qualifier,")
        _check("syntaxes", self.syntaxes, _SYNTAX, 'identifier:version like "UNOA:3"')
        _check("directories", self.directories, _TYPE, "a message type of six letters")
        _check("directories", self.directories.values(), _RELEASE, 'a directory like "D.95B", or "",')
        _check("messages", self.messages, _TYPE, 'a message type, or type:document code like "CUSCAR:785",')
        _check("messages", self.messages.values(), _BUSINESS, 'a business code, or "",')
        if self.charset:
            try:
                codecs.lookup(self.charset)
            except LookupError:
                raise ValueError("charset", f'"{self.charset}" is no character set that Python knows') from None

    @cached_property
    def codes(self) -> Mapping[str, str]:
        """Business codes by message type and by type:document code; what is not agreed is not in it."""
        return {key: code for key, code in {**BUSINESS_CODES, **self.messages}.items() if code}

    def business_code(self, message_type: str, document_code: str) -> str:
        """The business that a message asks for; empty if none was agreed."""
        exact = f"{message_type}:{document_code}"
        if exact in self.messages:
            return self.messages[exact]
        # What the profile says of a type goes before the usual meaning of a document code.
        if message_type in self.messages:
            return self.messages[message_type]
        return self.codes.get(exact) or self.codes.get(message_type, "")

    def profile(self, supported: Collection[str]) -> Profile:
        """How the codec reads its interchanges; ``supported`` are the message types that somebody decides."""
        from sekisho.codecs.edifact.profile import Profile  # noqa: PLC0415 - only where there is EDIFACT

        agreed = {key.partition(":")[0] for key in self.codes}
        return Profile(
            strict=self.strict,
            unwrap=self.unwrap,
            charset=self.charset or None,
            syntaxes=frozenset((one[:4], one[5:]) for one in self.syntaxes),
            recipients=frozenset(one.partition(":")[0] for one in self.centre),
            messages=frozenset({*supported, *ANSWERS}),
            agreed_messages=frozenset({*agreed, *ANSWERS}),
            directories=self.directories,
            test_indicators=_TEST[self.test_indicator],
            max_bytes=self.max_bytes,
        )


class Opening(NamedTuple):
    """What the beginning of a transmission says: who sent it under which reference, and what its first message is."""

    sender: str = ""
    qualifier: str = ""
    reference: str = ""
    type: str = ""
    document_code: str = ""


def opening_of(content: bytes) -> Opening:
    """Read the first segments of a transmission; what cannot be read is empty."""
    from sekisho.codecs.edifact import walk  # noqa: PLC0415 - only where there is EDIFACT

    out = Opening()
    for at, segment in enumerate(walk(content.lstrip()[:_OPENING_BYTES])):
        if segment.tag == "UNB" and at == 0:
            out = Opening(segment.get(1), segment.get(1, 1), segment.get(4))
        elif segment.tag == "UNH" and not out.type:
            out = out._replace(type=segment.get(1))
        elif segment.tag == "BGM":
            return out._replace(document_code=segment.get(0))
        elif segment.tag == "UNT":
            break
    return out


class Partners:
    """All partners, found by the id that UNB names."""

    def __init__(self, partners: Sequence[Partner] = ()) -> None:
        self._by_id = {one: partner for partner in partners for one in partner.ids}

    def find(self, sender: str, qualifier: str = "") -> Partner | None:
        """The partner of an id; one that was registered with this qualifier goes before one registered without."""
        return self._by_id.get(f"{sender}:{qualifier}") or self._by_id.get(sender)


def problems_of(partners: Sequence[Partner]) -> Iterator[str]:
    """What is wrong between partners that are each right."""
    names: set[str] = set()
    ids: dict[str, str] = {}
    for at, partner in enumerate(partners):
        if partner.name in names:
            yield f'partner[{at}].name: "{partner.name}" is the name of another partner'
        names.add(partner.name)
        for one in partner.ids:
            if one in ids:
                yield f'partner[{at}].ids: "{one}" is an id of "{ids[one]}"'
            ids[one] = partner.name
