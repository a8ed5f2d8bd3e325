"""What an agreement says of a message: every rule that needs a profile and no store.

*Strategy.* One function, top to bottom in the order of the checklist (spec/ebms.md 4.3 to 4.10); each rule names its
item and raises an :class:`EbFault` with the code and location that the sender is told. What a message must be by itself
the codec has judged before.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sekisho.codecs.ebms.names import NEXT_MSH, SOAP_ACTION
from sekisho.codecs.ebms.values import EbFault, EbMessage, ErrorCode
from sekisho.gateway.ebms_partners import Action, EbmsPartner, When
from sekisho.gateway.msh_profiles import Known, Profile

__all__ = ["expired", "fault", "judge", "judge_action", "judge_soap_action", "must_be_signed"]

_AT: Final = "/SOAP:Envelope/SOAP:Header/"


def fault(message: EbMessage, code: ErrorCode, text: str, location: str) -> EbFault:
    """A fault at a place below SOAP:Header, like ``eb:SyncReply``."""
    return EbFault(code, text, location=_AT + location, header=message.header)


def judge_soap_action(known: Known, soap_action: str) -> None:
    """Item 9: SOAPAction is "ebXML"; the quotation marks are often forgotten. Raises :class:`EbFault`."""
    if soap_action.strip('"') != SOAP_ACTION.strip('"') and not any(p.agreed.any_soap_action for p in known.profiles):
        raise EbFault("NotSupported", 'SOAPAction is not "ebXML"', soap_code="Client")


def judge(profile: Profile, message: EbMessage, now: datetime) -> None:
    """Parties, roles and the state of the agreement: for every message (items 17, 66). Raises :class:`EbFault`."""
    header, agreed = message.header, profile.agreed
    if not agreed.in_force(now):
        raise fault(message, "ValueNotRecognized", "this agreement is not in force", "eb:MessageHeader/eb:CPAId")
    if header.receiver.ids != profile.us.ids and not set(header.receiver.ids) <= set(profile.us.ids):
        raise fault(message, "Inconsistent", "To is not our party of this agreement", "eb:MessageHeader/eb:To")
    for said, known, where in (
        (header.sender.role, profile.them.role, "eb:From"),
        (header.receiver.role, profile.us.role, "eb:To"),
    ):
        if said and known and said != known:
            text = "not the role of this agreement"
            raise fault(message, "ValueNotRecognized", text, f"eb:MessageHeader/{where}/eb:Role")


def judge_action(profile: Profile, message: EbMessage) -> Action | None:
    """The rules of a business message; gives its action, None for a pull. Raises :class:`EbFault`."""
    header, agreed = message.header, profile.agreed
    pull = agreed.is_pull(header.service, header.action)
    action = agreed.incoming(header.service, header.action)
    if action is None and not pull:
        services = [one.named for one in (*agreed.action, *filter(None, (agreed.pull,)))]
        where = "eb:Action" if header.service in services else "eb:Service"
        raise fault(message, "ValueNotRecognized", "not a service and action of this agreement",
                    f"eb:MessageHeader/{where}")  # fmt: skip
    _judge_reliability(message, agreed)
    _judge_answer(message, agreed, pull=pull)
    _judge_payloads(message, agreed, action)
    return action


def _judge_reliability(message: EbMessage, agreed: EbmsPartner) -> None:
    asked = message.ack_requested
    _judge_presence(message, agreed.ack, asked is not None, "eb:AckRequested")
    eliminated = message.header.duplicate_elimination
    _judge_presence(message, agreed.duplicate_elimination, eliminated, "eb:MessageHeader/eb:DuplicateElimination")
    if asked is not None and asked.actor == NEXT_MSH != agreed.actor:  # item 30
        raise fault(message, "NotSupported", "acknowledgments of the next MSH are not agreed", "eb:AckRequested")


def _judge_presence(message: EbMessage, when: When, present: bool, location: str) -> None:
    """Item 67: always and never are enforced."""
    if present and when == "never":
        raise fault(message, "Inconsistent", "this agreement never has it", location)
    if not present and when == "always":
        raise fault(message, "Inconsistent", "this agreement always has it", location)


def _judge_answer(message: EbMessage, agreed: EbmsPartner, *, pull: bool) -> None:
    """Items 47 and 50: SyncReply as agreed, where there is a choice; MessageOrder only where it is agreed."""
    sync = message.sync_reply is not None
    if message.order is not None:
        if not agreed.ordered:
            raise fault(message, "NotSupported", "MessageOrder is not agreed", "eb:MessageOrder")
        if sync:
            raise fault(message, "Inconsistent", "MessageOrder does not go with SyncReply", "eb:MessageOrder")
    if pull or (not agreed.url and agreed.sync_reply == "none"):
        return
    if sync != (agreed.sync_reply != "none"):
        text = "SyncReply is not agreed" if sync else "SyncReply is agreed, and is missing"
        raise fault(message, "Inconsistent", text, "eb:SyncReply")


def _judge_payloads(message: EbMessage, agreed: EbmsPartner, action: Action | None) -> None:
    for item in message.manifest:
        if not item.href.startswith("cid:") and not agreed.external_references:  # item 27
            text = "references to things outside the message are not agreed"
            raise EbFault("NotSupported", text, location=item.href[:200], header=message.header)
    for payload in message.payloads:
        if len(payload.content) > agreed.max_part:
            text = f"a payload of more than {agreed.max_part} bytes"
            raise EbFault("MimeProblem", text, location=f"cid:{payload.content_id}", header=message.header)
    if action is not None and action.parts and len(message.payloads) != action.parts:
        text = f"{len(message.payloads)} payload parts; {action.parts} are agreed"
        raise EbFault("MimeProblem", text, location="/SOAP:Envelope/SOAP:Body/eb:Manifest", header=message.header)


def must_be_signed(profile: Profile, message: EbMessage) -> bool:
    """Whether an unsigned one is refused: business where it is agreed, acknowledgments where we ask for signed ones."""
    if message.acknowledgment is not None and profile.agreed.ack_signed:
        return True
    return message.kind == "business" and profile.agreed.signature == "require"


def expired(message: EbMessage, now: datetime) -> EbFault | None:
    """Item 23: TimeToLive at or before now."""
    until = message.header.time_to_live
    if until is None or until > now:
        return None
    where = "eb:MessageHeader/eb:MessageData/eb:TimeToLive"
    return fault(message, "TimeToLiveExpired", "the message came too late", where)
