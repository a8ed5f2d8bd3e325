"""Reading by a form says what reading in full says, of whatever comes.

The reference is ``reading.read``: no rule of its own stands in ``forms``, so each test compares the two.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.codecs.ebms.forms import Forms
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.signing import Signer
from sekisho.codecs.ebms.values import EbFault, EbMessage, Limits
from sekisho.codecs.ebms.writing import write

from .envelopes import MARKS, MESSAGE, SOAP_NEXT, envelope, header_xml, identity, manifest, multipart

VALUES = {
    "conversation": "conversation-1",
    "message_id": "m1@BROKER.EXAMPLE",
    "timestamp": "2025-04-01T12:00:00+09:00",
    "ref_to": "m0@CENTRE.EXAMPLE",
    "end": "2025-04-02T12:00:00.5Z",
    "href": "cid:one@BROKER.EXAMPLE",
    "part": "one@BROKER.EXAMPLE",
}


def package(**changed: str) -> tuple[str, bytes]:
    """A message with one payload; the values go in as they are, escaped by nobody."""
    values = VALUES | changed
    data = (
        f"<eb:RefToMessageId>{values['ref_to']}</eb:RefToMessageId><eb:TimeToLive>{values['end']}</eb:TimeToLive>"
    )
    header = header_xml(
        message_id=values["message_id"], timestamp=values["timestamp"], data=data, rest="<eb:DuplicateElimination/>"
    ).replace(">conversation-1<", f">{values['conversation']}<")
    asked = f'<eb:AckRequested {MARKS} eb:signed="false"/><eb:SyncReply {MARKS} SOAP:actor="{SOAP_NEXT}"/>'
    soap = envelope(header + asked, manifest(values["href"]))
    fields = f"Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{values['part']}>"
    return multipart(soap, (fields, b"content"))


def said(reader: object, content_type: str, body: bytes) -> object:
    """What a reader makes of a body: the message with the time as it was written, or the whole of the fault."""
    try:
        message = reader(content_type, body)  # type: ignore[operator]
    except EbFault as fault:
        return fault.code, fault.text, fault.location, fault.soap_code, fault.header
    return message, message.header.timestamp_text


def trained() -> Forms:
    """Forms that know one."""
    forms = Forms()
    forms.read(*package())
    assert len(forms) == 1
    return forms


NASTY = st.sampled_from(
    [
        "", " ", "a@b", " a@b ", "a@b@c", "a&amp;b@c", "&#97;@b", "<x/>", "a<!-- -->@b", "<![CDATA[a@b]]>", "a]]>@b",
        'a"b@c', "a'b@c", "\u3042@b", "x" * 1_025, "x" * 1_024, "a\tb", "a\x01b", "&lt;", "&unknown;", "cid:",
        "cid:a%40b", "cid:a@b", "http://x.EXAMPLE/", "2025-04-01T12:00:00", "2025-02-30T12:00:00Z",
        "2025-04-01T24:00:00Z", "0000-01-01T00:00:00Z", "2025-04-01T12:00:60Z", "2025-04-01T12:00:00+14:30",
        "2025-04-01T12:00:00.1234567Z", "9999-12-31T23:59:59-13:00", "2025-04-01T12:00:00-08:00",
        "-2025-04-01T12:00:00Z",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(VALUES)), NASTY | st.text(max_size=20).map(lambda t: t + "@x")))
def test_other_values_in_the_open_places(changed: dict[str, str]) -> None:
    """Values of every kind, good and bad, in places that a form leaves open: the same message, or the same fault."""
    body = package(**changed)
    assert said(trained().read, *body) == said(read, *body)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_one_byte_changed(data: st.DataObject) -> None:
    """A body that differs from the form's in any one byte, in an open place or not."""
    content_type, body = package()
    at = data.draw(st.integers(0, len(body) - 1))
    byte = data.draw(st.integers(0, 255))
    body = body[:at] + bytes([byte]) + body[at + 1 :]
    assert said(trained().read, content_type, body) == said(read, content_type, body)


def test_the_next_message_of_a_sender_is_read_by_the_form() -> None:
    """The point of it: no tree is built for the second message, and its values are its own."""
    message = trained().read(*package(message_id="m2@B.EXAMPLE", timestamp="2025-05-06T07:08:09.123Z"))
    assert message.document is None
    assert (message.header.message_id, message.header.timestamp.month) == ("m2@B.EXAMPLE", 5)
    assert message == read(*package(message_id="m2@B.EXAMPLE", timestamp="2025-05-06T07:08:09.123Z"))


def test_a_part_that_the_manifest_does_not_name_is_judged_in_full() -> None:
    """Checklist 25: the names of the parts are values too."""
    body = package(href="cid:other@B.EXAMPLE")
    assert said(trained().read, *body) == said(read, *body)
    with pytest.raises(EbFault, match="MimeProblem"):
        trained().read(*body)


def test_places_that_could_be_mistaken_make_no_form() -> None:
    """A comment that shows a second MessageId: which one counts is not for a form to say."""
    forms = Forms()
    soap = envelope(header_xml() + "<!--<eb:MessageId>m9@B.EXAMPLE</eb:MessageId>-->")
    forms.read("text/xml", soap)
    assert len(forms) == 0
    forms.read("text/xml", envelope())
    assert len(forms) == 1


def test_signed_messages_make_no_form_and_fit_none() -> None:
    """Item 62: the verifier wants the very tree that the values were read from."""
    pair = identity("BROKER.EXAMPLE")
    forms = Forms()
    for signer in (None, Signer(pair.key, pair.certificate), None, Signer(pair.key, pair.certificate)):
        wire = write(MESSAGE, boundary="b1", content_id="root@A.EXAMPLE", signer=signer)
        message = forms.read(wire.content_type, wire.body)
        assert message.is_signed == (signer is not None)
        assert (message.document is not None) or signer is None
    assert len(forms) == 1


def test_deviations_make_no_form() -> None:
    """What a partner's profile tolerates is found and named each time."""
    forms = Forms()
    tolerated = frozenset({"time-without-zone"})
    for _ in range(3):
        body = package(timestamp="2025-04-01T12:00:00")
        message: EbMessage = forms.read(*body, tolerances=tolerated)
        assert [finding.name for finding in message.findings] == ["time-without-zone"]
    assert len(forms) == 0


def test_other_limits_are_kept() -> None:
    """A form was judged by the limits of its time; by others the document is read in full."""
    forms = trained()
    body = package()
    assert said(lambda *each: forms.read(*each, limits=Limits(elements=3)), *body) == said(
        lambda *each: read(*each, limits=Limits(elements=3)), *body
    )


def test_senders_without_a_form_cost_little_memory() -> None:
    """Whoever writes each message otherwise fills no memory: eight forms, none of a large document."""
    forms = Forms()
    for number in range(300):
        forms.read("text/xml", envelope(attributes=f'xmlns:p{number}="urn:p"'))
    assert 1 <= len(forms) <= 8
    forms = Forms()
    forms.read("text/xml", envelope(header_xml(rest=f'<eb:Description xml:lang="en">{"x" * 20_000}</eb:Description>')))
    assert len(forms) == 0


def test_messages_that_come_once_push_no_form_out_and_stop_no_learning() -> None:
    """Any number of other messages in between: the known shape stays known, and a new one is known within 16."""
    forms = Forms()

    def by_form(attributes: str = "") -> bool:
        return forms.read("text/xml", envelope(attributes=attributes)).document is None

    assert [by_form(), by_form()] == [False, True]
    for number in range(100):
        assert not by_form(f'xmlns:p{number}="urn:p"')
    assert by_form()
    for number in range(100, 200):
        by_form(f'xmlns:p{number}="urn:p"')
    assert any(by_form('xmlns:new="urn:p"') for _ in range(17))


def test_the_form_used_last_is_tried_first() -> None:
    """Two programs of one sender, each with a shape of its own, in turns."""
    forms = Forms()
    for number, attributes in enumerate(["", 'xmlns:p="urn:p"', ""] * 3):
        soap = envelope(header_xml(message_id=f"m{number}@B.EXAMPLE"), attributes=attributes)
        assert forms.read("text/xml", soap) == read("text/xml", soap)
    assert len(forms) == 2
