"""A partner profile out of a CPA 2.0 document: what ``sekisho ebms import-cpa`` prints.

*Strategy.* The document says what both sides do; the profile says it from our side, so whose side is ours is asked.
What is written is TOML that can be read back, with what is still missing and what could not be mapped as comments on
top: an import never pretends to be complete. Certificates become files; keys are never in a CPA.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sekisho.codecs.ebms.cpa import AgreedAction, AgreedParty, Agreement, AgreementError, Channel, read_cpa
from sekisho.codecs.ebms.names import MSH_SERVICE, NEXT_MSH
from sekisho.gateway.ebms_partners import EbmsPartner
from sekisho.gateway.strict_toml import read_table

__all__ = ["AgreementError", "Imported", "import_cpa"]

_OFTEN: Final = {"always": "always", "never": "never", "perMessage": "per-message"}


@dataclass(slots=True)
class Imported:
    """A profile from a CPA.

    ``toml`` is the table with its comments; ``files`` certificates in PEM by file name; ``left_out`` what the document
    holds and the profile does not say; ``missing`` what must be added before it can be used.
    """

    toml: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def import_cpa(document: bytes, *, us: str = "", name: str = "partner", box: str = "BOX") -> Imported:
    """Read a CPA; ``us`` is one of our PartyIds in it.

    Raises :class:`AgreementError`, also where it is not clear which side is ours.
    """
    agreement = read_cpa(document)
    ours, theirs = _sides(agreement, us)
    out = Imported(left_out=list(agreement.unmapped))
    sending = _channel(ours, "send", out)
    taking = _channel(ours, "receive", out) or sending
    reached = _channel(theirs, "receive", out)
    table: dict[str, Any] = {
        "name": name,
        "box": box,
        "cpa_id": agreement.cpa_id,
        "status": agreement.status,
        "valid_from": _moment(agreement.start),
        "valid_to": _moment(agreement.end),
    }
    if taking is not None:
        table |= {
            "sync_reply": taking.sync_reply,
            "ack": _OFTEN[taking.ack],
            "duplicate_elimination": _OFTEN[taking.duplicate_elimination],
            "ack_actor": "nextMSH" if taking.ack_actor == NEXT_MSH else "toPartyMSH",
            "ordered": taking.ordered,
        }
    if reached is not None and reached.url:
        table["url"] = reached.url
    _reliability(sending or taking, table, out)
    _signatures(ours, theirs, sending, taking, table, out)
    _transport(theirs, reached, table, out)
    table["us"] = _side(ours)
    table["them"] = _side(theirs)
    table["action"] = _actions(ours, theirs)
    # Read back, so that what is printed is judged by the same rules as what is loaded.
    read_table(EbmsPartner, table, "", out.missing)
    out.toml = _text(table, out)
    return out


def _sides(agreement: Agreement, us: str) -> tuple[AgreedParty, AgreedParty]:
    first, second = agreement.parties
    named = [one for one in agreement.parties if any(party.value == us for party in one.ids)]
    if len(named) != 1:
        known = " or ".join(f'"{one.ids[0].value}" ({one.name})' for one in agreement.parties if one.ids)
        raise AgreementError(f"which side is ours is not clear; name one of our PartyIds: {known}")
    return (first, second) if named[0] is first else (second, first)


def _side(party: AgreedParty) -> dict[str, Any]:
    roles = sorted({action.role for action in party.actions if action.role})
    ids = [{"value": one.value} | ({"type": one.type} if one.type else {}) for one in party.ids]
    return {"ids": ids} | ({"role": roles[0]} if len(roles) == 1 else {})


def _channel(party: AgreedParty, direction: str, out: Imported) -> Channel | None:
    """The channel that a side's actions of one direction go over; a profile has room for one."""
    names: dict[str, None] = {}
    for action in _business(party):
        if action.direction == direction:
            names.update(dict.fromkeys(action.channels))
    found = [party.channel(each) for each in names]
    if len(found) > 1:
        others = ", ".join(each.id for each in found[1:])
        out.left_out.append(f"{party.name}: channels {others}: only {found[0].id} is used for what it {direction}s")
    return found[0] if found else None


def _business(party: AgreedParty) -> list[AgreedAction]:
    return [action for action in party.actions if action.service.value != MSH_SERVICE]


def _reliability(channel: Channel | None, table: dict[str, Any], out: Imported) -> None:
    if channel is None:
        return
    if channel.retries is not None:
        table["retries"] = channel.retries
    if channel.retry_interval is not None:
        table["retry_interval_seconds"] = channel.retry_interval.total_seconds()
    retries, interval = table.get("retries", 5), table.get("retry_interval_seconds", 300.0)
    least = (retries + 1) * interval
    if channel.persist_duration is not None:
        persist = channel.persist_duration.total_seconds()
        if persist < least:
            out.left_out.append(f"PersistDuration {persist:g} s: shorter than the retries need; {least:g} s is used")
        table["persist_duration_seconds"] = max(persist, least)
    elif least > 1800:
        table["persist_duration_seconds"] = least


def _signatures(
    ours: AgreedParty,
    theirs: AgreedParty,
    sending: Channel | None,
    taking: Channel | None,
    table: dict[str, Any],
    out: Imported,
) -> None:
    wanted = taking is not None and taking.wants_signature
    signs = sending is not None and (sending.signs or sending.ack_signed == "always")
    if not (wanted or signs):
        return
    table["signature"] = "require" if wanted else "sign"
    table["signing_key"] = f"{table['name']}-signing.key"
    table["signing_certificate"] = f"{table['name']}-signing.pem"
    out.missing.append(f"signing_key: put our key into {table['signing_key']}; a CPA holds none")
    own = sending.signing_certificate if sending is not None else ""
    _keep(ours, [own], table["signing_certificate"], out)
    names = [channel.signing_certificate for channel in theirs.channels if channel.signing_certificate]
    shown = f"{table['name']}-theirs.pem"
    if _keep(theirs, names, shown, out):
        table["signing_certificates"] = [shown]
        table["ack_signed"] = sending is not None and sending.ack_signed == "always"


def _transport(theirs: AgreedParty, reached: Channel | None, table: dict[str, Any], out: Imported) -> None:
    """How he is known: by his client certificate, or by Basic where the CPA says so."""
    clients = [each.client_certificate for each in theirs.channels if each.client_certificate]
    if _keep(theirs, clients, f"{table['name']}-client.pem", out):
        table["certificates"] = [f"{table['name']}-client.pem"]
    servers = [reached.server_certificate] if reached is not None and reached.server_certificate else []
    if _keep(theirs, servers, f"{table['name']}-server.pem", out):
        table["tls_trust"] = f"{table['name']}-server.pem"
    methods = {method for each in theirs.channels for method in each.authentication}
    if "basic" in methods:
        table["basic"] = True
    for other in sorted(methods - {"basic"}):
        out.left_out.append(f"AccessAuthentication {other}: only basic is spoken")


def _keep(party: AgreedParty, names: list[str], file: str, out: Imported) -> bool:
    """Put certificates of these ids into one file; whether there are any."""
    found = [each for each in party.certificates if each.id in names]
    now = datetime.now(UTC)
    for each in found:
        if each.not_after < now:
            out.left_out.append(f"Certificate {each.id}: ended on {each.not_after:%Y-%m-%d}")
    if found:
        out.files[file] = b"".join(each.pem for each in found)
    return bool(found)


def _actions(ours: AgreedParty, theirs: AgreedParty) -> list[dict[str, Any]]:
    """What they send comes in, what we send goes out; an action that both lists name counts once."""
    seen: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for party, direction in ((theirs, "in"), (ours, "out")):
        for action in _business(party):
            if action.direction != "send":
                continue
            service = action.service
            entry: dict[str, Any] = {"service": service.value, "action": action.action, "direction": direction}
            if service.type:
                entry["service_type"] = service.type
            if action.media_types:
                entry["media_type" if direction == "out" else "part"] = action.media_types[0]
            seen.setdefault((direction, service.value, service.type, action.action), entry)
    return list(seen.values())


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# TOML ------------------------------------------------------------------------------------------------------------


def _text(table: dict[str, Any], out: Imported) -> str:
    lines = [f"# to be added: {_line(each)}" for each in out.missing]
    lines += [f"# not mapped: {_line(each)}" for each in out.left_out]
    lines.append("[[ebms]]")
    lines += [f"{key} = {_value(value)}" for key, value in table.items() if key != "action"]
    for action in table["action"]:
        lines += ["", "[[ebms.action]]", *(f"{key} = {_value(value)}" for key, value in action.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:  # noqa: ANN401 - whatever a profile's key holds
    """A value as TOML writes it in one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(int(value) if value == int(value) else value)
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    # A JSON string is a TOML string but for DEL, which TOML wants escaped.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _line(text: str) -> str:
    return " ".join(each for each in "".join(c if c.isprintable() else " " for c in text).split())
