"""宛先管理 as handlers see it: destinations of outputs that users set themselves (naccs-edi 5).

*Strategy.* A destination is a key, an output code and a box. The key says what it is for: a user ID or a 利用者コード
(whatever goes to it), :func:`third_party` (what others cause, EXC alone), :func:`copy_to` (a further box beside the
usual one). The house routes by the same keys, so what a business sets holds for the next output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

__all__ = ["COPY", "EVERY", "NoRoutes", "Routes", "copy_to", "third_party"]

EVERY: Final = "*"
"""In place of an output code: all of them."""
COPY: Final = "/COPY/"
"""What stands between a 利用者コード and a box in the key of a copy."""


def third_party(user_code: str) -> str:
    """The key of what a 利用者コード gets because others act (EXC)."""
    return f"{user_code}/EXC"


def copy_to(user_code: str, box: str) -> str:
    """The key of a further box for what a 利用者コード gets."""
    return f"{user_code}{COPY}{box}"


class Routes(Protocol):
    """The destinations of the sender's company."""

    def boxes(self) -> Sequence[str]:
        """The boxes that belong to it: those of its user IDs, and those an operator has given it."""
        ...

    def listed(self) -> Sequence[tuple[str, str, str]]:
        """Key, output code and box of every destination of its IDs and its 利用者コード, by key and code."""
        ...

    def put(self, key: str, output_code: str, box: str) -> None:
        """Set a destination; it replaces the one of the same key and code."""
        ...

    def delete(self, key: str, output_code: str) -> bool:
        """Remove a destination; whether there was one."""
        ...


class NoRoutes:
    """Where there are none: nothing belongs to anybody, and nothing is kept."""

    def boxes(self) -> Sequence[str]:
        """None."""
        return ()

    def listed(self) -> Sequence[tuple[str, str, str]]:
        """None."""
        return ()

    def put(self, key: str, output_code: str, box: str) -> None:
        """Raises LookupError."""
        raise LookupError(f"no destinations here: {key} {output_code} {box}")

    def delete(self, key: str, output_code: str) -> bool:
        """False."""
        del key, output_code
        return False
