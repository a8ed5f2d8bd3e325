"""What is agreed with a partner, as far as reading depends on it.

*Strategic choice.* Nothing of what NACCS leaves unknown is a constant here: ``None`` or an empty set means *not agreed,
not checked*. The default profile takes what receivers in the field take and says so in findings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["TOLERANT", "Profile"]


@dataclass(frozen=True, slots=True)
class Profile:
    """How to read and judge a partner's interchanges.

    ``strict`` takes findings as errors. ``unwrap`` drops line ends anywhere (telex-wrapped files). ``charset`` names
    the Python codec of the data where 0001 does not tell. ``directories`` overrides the directory of a message type
    (``{"CUSCAR": "D.95B"}``; ``""`` checks the envelope only). ``control_separators`` is the agreement that UNOB
    without UNA means IS4, IS3, IS1. ``seen`` answers whether (sender, recipient, 0020) came before. ``oldest`` is the
    earliest acceptable preparation time as YYYYMMDDHHMM. Sizes are bytes. Sets left empty or None are not checked.
    """

    strict: bool = False
    unwrap: bool = False
    charset: str | None = None
    control_separators: bool = False
    una: Literal["optional", "required", "forbidden"] = "optional"
    syntaxes: frozenset[tuple[str, str]] = frozenset()
    senders: frozenset[str] = frozenset()
    recipients: frozenset[str] = frozenset()
    agreed: frozenset[tuple[str, str]] = frozenset()
    messages: frozenset[str] = frozenset()
    agreed_messages: frozenset[str] = frozenset()
    directories: Mapping[str, str] = field(default_factory=dict)
    validate: bool = True
    groups: Literal["optional", "required", "forbidden"] = "optional"
    test_indicators: frozenset[str] | None = None
    partial: bool = True
    password: str | None = None
    group_password: str | None = None
    oldest: str | None = None
    seen: Callable[[str, str, str], bool] | None = None
    code_lists: frozenset[str] = frozenset()
    max_bytes: int | None = None
    max_segment: int = 1 << 20
    max_elements: int = 10_000
    max_messages: int | None = None


TOLERANT: Final = Profile()
"""Takes what is well-formed from anybody; names every tolerance it used."""
