"""Control references that were used before, in little memory."""

from __future__ import annotations

__all__ = ["References"]


class References:
    """References of one level; counting ones (1, 2, 3 ... or REF0001, REF0002 ...) cost nothing to remember.

    A run is a prefix, a number of digits and a range of values; what does not continue the run is kept as it is.
    """

    def __init__(self) -> None:
        self._prefix = ""
        self._width = -1
        self._first = self._last = 0
        self._others: set[str] = set()

    def clear(self) -> None:
        """Forget all of them."""
        self._width = -1
        if self._others:
            self._others = set()

    def add(self, reference: str) -> bool:
        """Remember one; False if it was there before."""
        prefix = reference.rstrip("0123456789")
        digits = reference[len(prefix) :]
        value = int(digits) if digits and len(digits) <= 18 else -1
        # Without leading zeros the width grows with the value: 9 is followed by 10.
        width = len(digits) if digits.startswith("0") or self._padded(len(digits), prefix) else 0
        same = value >= 0 and self._width == width and prefix == self._prefix
        if same and self._first <= value <= self._last:
            return False
        if reference in self._others:
            return False
        if same and value == self._last + 1:
            self._last = value
        elif self._width < 0 and value >= 0:
            self._prefix, self._width, self._first, self._last = prefix, width, value, value
        else:
            self._others.add(reference)
        return True

    def _padded(self, width: int, prefix: str) -> bool:
        return self._width == width and prefix == self._prefix
