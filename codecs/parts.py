"""Split messages (分割電文): one output sent as several, and put together again.

*Strategy.* 分割通番 counts the parts from 001, 最終表示 ``E`` marks the last (wire reference 4.7). The size at which a
centre splits and whether parts otherwise share the header is not known (Unspecified: our choice: they do, and a part
ends after a whole item). Parts may overtake each other, so joining goes by number, never by order; what belongs
together is told by 電文引継情報 and 出力情報コード (decisions, "Text").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sekisho.codecs.header import BODY_START, Header, length_deviation

__all__ = ["join_parts", "split_message"]

_PART: Final = slice(245, 248)
_LAST: Final = slice(248, 249)
_MOST_PARTS: Final = 999


def split_message(content: bytes, limit: int) -> list[bytes]:
    """``content``, a reply, as parts of at most ``limit`` bytes each, header included; itself if it is not longer.

    A part ends after a whole item. Raises ValueError if an item alone is longer than a part may be, or if more than
    999 parts would come of it.
    """
    if len(content) <= limit:
        return [content]
    bodies: list[bytes] = []
    room = limit - BODY_START
    at = BODY_START
    while at < len(content):
        end = at + room
        if end < len(content):
            end = content.rfind(b"\r\n", at, max(at, end)) + 2
            if end <= at:
                raise ValueError(f"the item at byte {at} does not fit a part of {limit} bytes")
        bodies.append(content[at:end])
        at = end
    if len(bodies) > _MOST_PARTS:
        raise ValueError(f"{len(bodies)} parts of {limit} bytes; 分割通番 counts to {_MOST_PARTS}")
    return [_part(content, body, number, number == len(bodies)) for number, body in enumerate(bodies, 1)]


def _part(content: bytes, body: bytes, number: int, last: bool) -> bytes:
    header = content[:245] + b"%03d" % number + (b"E" if last else b" ") + content[249:392]
    return header + b"%06d\r\n" % (BODY_START + len(body)) + body


def join_parts(messages: Sequence[bytes]) -> bytes:
    """The whole message of parts that came in any order: the first one's header as a single part, every body.

    Raises ValueError if they are not the parts of one output: another 電文引継情報, 入力情報特定番号, 業務コード or
    出力情報コード, a number that is missing or comes twice, no last part, or one whose 電文長 is wrong.
    """
    if not messages:
        raise ValueError("no parts")
    headers = [Header(message, "out") for message in messages]
    for message in messages:
        wrong = length_deviation(message)
        if wrong is not None:
            raise ValueError(f"part {message[_PART].decode('ascii', 'replace')}: {wrong.text}")
    if len({(h.business_code, h.output_code, h.carry, h.input_id) for h in headers}) > 1:
        raise ValueError("these parts belong to different outputs")
    ordered = sorted(messages, key=lambda message: message[_PART])
    if [message[_PART] for message in ordered] != [b"%03d" % number for number in range(1, len(ordered) + 1)]:
        found = " ".join(message[_PART].decode("ascii", "replace") for message in ordered)
        raise ValueError(f"parts 001 to {len(ordered):03d} are expected, these came: {found}")
    if [message[_LAST] for message in ordered] != [b" "] * (len(ordered) - 1) + [b"E"]:
        raise ValueError("the last part, and no other, has E in 最終表示")
    return _part(ordered[0], b"".join(message[BODY_START:] for message in ordered), 1, last=True)
