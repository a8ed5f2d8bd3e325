"""What the handler says: bytes that our own strict reader takes, the quick form and the written one alike."""

from dataclasses import replace

import pytest

from sekisho.codecs.ebms.names import NEXT_MSH
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.values import AckRequested, EbMessage
from sekisho.gateway.clock import Clock
from sekisho.gateway.msh_profiles import Profile, Profiles
from sekisho.gateway.msh_words import Speaker, content_of, keep_answer, kept_answer
from tests.gateway.ebms_peer import Peer
from tests.gateway.msh_house import profile

ODD = ("conversation-1", "50%", "%(id)s", "a&b<c>d", "会話", "x" * 900, "two words", "quote\"'", "blank-id@x", "]]>")


@pytest.fixture
def speaker() -> Speaker:
    """A speaker of this test."""
    return Speaker(domain="CENTRE.SEKISHO.EXAMPLE", clock=Clock())


@pytest.fixture
def agreed() -> Profile:
    """A profile at work."""
    return Profiles([profile()]).all[0]


def _timeless(message: EbMessage) -> EbMessage:
    """A message without what differs each time."""
    receipt = message.acknowledgment
    assert receipt is not None
    at = receipt.timestamp.replace(2000, 1, 1, 0, 0, 0, 0)
    return replace(
        message,
        header=replace(message.header, message_id="", timestamp=at, timestamp_text=""),
        acknowledgment=replace(receipt, timestamp=at),
    )


@pytest.mark.parametrize("actor", ["", NEXT_MSH])
@pytest.mark.parametrize("conversation", ODD)
def test_item_32_the_quick_acknowledgment_is_the_written_one(
    speaker: Speaker, agreed: Profile, conversation: str, actor: str
) -> None:
    """Items 19, 32: whatever the conversation is called; each with an id and a time of its own."""
    asked = AckRequested(False, actor) if actor else AckRequested(False)
    for _ in range(2):
        received = replace(Peer().request(conversation=conversation), ack_requested=asked)
        quick = read(*speaker.plain_receipt(agreed, received)[:2])
        written = read(*speaker.wire(speaker.acknowledgment(agreed, received))[:2])
        assert _timeless(quick) == _timeless(written)
        assert quick.header.message_id != written.header.message_id
        assert abs((quick.header.timestamp - written.header.timestamp).total_seconds()) < 5


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("content_type", ["text/xml; charset=UTF-8", 'multipart/related; boundary="Pending: x"'])
def test_item_36_an_answer_is_kept_as_it_was(content_type: str, pending: bool) -> None:
    """Item 36: the journal gives back what was said, an empty answer too, and whether a reply may still join it."""
    for body in (b"<a/>\r\n\r\nPending: business-reply\r\n\r\n", b"\r\n\r\n"):
        kept = kept_answer(keep_answer(content_type, body, pending=pending))
        assert (kept.content_type, kept.body, kept.pending) == (content_type, body, pending)
    nothing = kept_answer(keep_answer("", b"", pending=pending))
    assert (nothing.content_type, nothing.body, nothing.pending) == ("", b"", pending)
    assert kept_answer(b"").body == b""


def test_what_a_letter_is_decides_its_action() -> None:
    """House 4: EDIFACT and XML are told by how they begin."""
    assert content_of(b"UNB+UNOA:3+A+B+260101:0000+1'") == "edifact"
    assert content_of(b"\xef\xbb\xbf <?xml?>") == "xml"
    assert content_of(b"   OLA  ") == "naccs"
