"""The names of ebMS 2.0: name spaces, actors, actions, algorithms, and the deviations we know by name.

Everything here is fixed by the standards (spec/ebms.md sections 3, 8 and 10); nothing is a setting.
"""

from __future__ import annotations

from typing import Final

SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12: Final = "http://www.w3.org/2003/05/soap-envelope"
EB: Final = "http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd"
EB_3: Final = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/"
"""ebMS 3.0 and AS4: recognised, so that the answer can say what is wrong."""
XLINK: Final = "http://www.w3.org/1999/xlink"
DS: Final = "http://www.w3.org/2000/09/xmldsig#"
XML: Final = "http://www.w3.org/XML/1998/namespace"
CPA: Final = "http://www.oasis-open.org/committees/ebxml-cppa/schema/cpp-cpa-2_0.xsd"

VERSION: Final = "2.0"
MSH_SERVICE: Final = "urn:oasis:names:tc:ebxml-msg:service"
ACKNOWLEDGMENT: Final = "Acknowledgment"
MESSAGE_ERROR: Final = "MessageError"
PING: Final = "Ping"
PONG: Final = "Pong"
STATUS_REQUEST: Final = "StatusRequest"
STATUS_RESPONSE: Final = "StatusResponse"
MSH_ACTIONS: Final = frozenset({ACKNOWLEDGMENT, MESSAGE_ERROR, PING, PONG, STATUS_REQUEST, STATUS_RESPONSE})

NEXT_MSH: Final = "urn:oasis:names:tc:ebxml-msg:actor:nextMSH"
TO_PARTY_MSH: Final = "urn:oasis:names:tc:ebxml-msg:actor:toPartyMSH"
SOAP_NEXT: Final = "http://schemas.xmlsoap.org/soap/actor/next"
ERROR_CONTEXT: Final = "urn:oasis:names:tc:ebxml-msg:service:errors"
SOAP_ACTION: Final = '"ebXML"'
"""The SOAPAction header field, quotes included (checklist 8)."""

ENVELOPED: Final = DS + "enveloped-signature"
XPATH: Final = "http://www.w3.org/TR/1999/REC-xpath-19991116"
C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
XPATH_TEXT: Final = (
    f'not(ancestor-or-self::node()[@SOAP:actor="{NEXT_MSH}"] | ancestor-or-self::node()[@SOAP:actor="{SOAP_NEXT}"])'
)
"""The transform that leaves out what intermediaries may change (spec section 8)."""

MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
RSA_SHA1: Final = DS + "rsa-sha1"
RSA_SHA256: Final = MORE + "rsa-sha256"
SHA1: Final = DS + "sha1"
SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
DIGESTS: Final = frozenset({SHA256, MORE + "sha384", "http://www.w3.org/2001/04/xmlenc#sha512"})
"""Digest algorithms that are accepted without a switch."""
SIGNATURES: Final = frozenset(
    MORE + kind + size for kind in ("rsa-", "ecdsa-") for size in ("sha256", "sha384", "sha512")
)
"""Signature algorithms that are accepted without a switch."""

MUST_UNDERSTAND_TRUE: Final = "must-understand-true"
MISSING_LANGUAGE: Final = "missing-language"
MISSING_VERSION: Final = "missing-version"
EMPTY_ERROR_LIST: Final = "empty-error-list"
ID_WITH_DIGIT: Final = "id-with-digit"
TIME_WITHOUT_ZONE: Final = "time-without-zone"
BARE_MESSAGE_ID: Final = "bare-message-id"
OTHER_SOAP_ACTION: Final = "other-soap-action"
SHA1_TOLERATED: Final = "sha1"
MISSING_XPATH: Final = "missing-xpath"
RICH_ACKNOWLEDGMENT: Final = "rich-acknowledgment"

TOLERANCES: Final[dict[str, str]] = {
    MUST_UNDERSTAND_TRUE: 'SOAP:mustUnderstand is "true" or "false"; the schema knows 1 and 0 only',
    MISSING_LANGUAGE: "a Description has no xml:lang",
    MISSING_VERSION: "a header block other than MessageHeader, or a status block, has no eb:version",
    EMPTY_ERROR_LIST: "an ErrorList holds no Error",
    ID_WITH_DIGIT: "an eb:id begins with a digit, which an xs:ID cannot",
    TIME_WITHOUT_ZONE: "a time has no zone; it is read as UTC",
    BARE_MESSAGE_ID: "a MessageId is not of the form left@right (RFC 2822), often a bare UUID",
    RICH_ACKNOWLEDGMENT: "an Acknowledgment asks for one itself or carries DuplicateElimination; both are ignored",
    OTHER_SOAP_ACTION: 'SOAPAction is not "ebXML" (judged by the transport)',
    SHA1_TOLERATED: "a signature uses SHA-1 (judged by the verifier)",
    MISSING_XPATH: "a signature has no XPath transform (judged by the verifier)",
}
"""What a partner's profile may tolerate, by name. Anything else that breaks a rule is refused."""

BASE64_PART: Final = "base64-part"
MISSING_TYPE_PARAMETER: Final = "missing-type-parameter"
LINE_ENDS: Final = "line-ends"
UNNAMED_PART: Final = "unnamed-part"

NOTES: Final[dict[str, str]] = {
    BASE64_PART: "a part came as base64; over HTTP binary is meant (checklist 5)",
    MISSING_TYPE_PARAMETER: "multipart/related has no type parameter",
    LINE_ENDS: "MIME lines end with LF alone",
    UNNAMED_PART: "a part that the Manifest does not name",
}
"""Deviations that are always read, and always named in the findings."""
