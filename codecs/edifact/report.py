"""A report as the documented JSON form, and as lines for a person."""

from __future__ import annotations

from typing import Any

from sekisho.codecs.edifact.findings import Finding
from sekisho.codecs.edifact.model import Report

__all__ = ["as_json", "as_lines"]


def as_json(report: Report) -> dict[str, Any]:
    """The form that ``sekisho decode --json`` prints for EDIFACT; values are text, numbers, lists and null."""
    interchanges = report.interchanges
    return {
        "format": "edifact",
        "syntax": [{"id": one.syntax.identifier, "version": one.syntax.version} for one in interchanges],
        "interchanges": len(interchanges),
        "groups": sum(one.groups for one in interchanges),
        "messages": sum(one.messages for one in interchanges),
        "segments": sum(one.segments for one in interchanges),
        "valid": report.valid,
        "errors": [_position(finding) for finding in report.errors],
        "findings": [_position(finding) for finding in report.findings],
    }


def _position(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "interchange": finding.interchange,
        "message": finding.message,
        "segment": finding.segment,
        "tag": finding.tag,
        "element": finding.element,
        "component": finding.component,
        "repeat": finding.repeat,
        "offset": finding.offset,
        "text": finding.text,
    }


def as_lines(report: Report) -> list[str]:
    """What is in a transmission and what is wrong with it, one line each."""
    lines = []
    for one in report.interchanges:
        sender, recipient = ":".join(one.sender) or "?", ":".join(one.recipient) or "?"
        what = f"{one.groups} groups, " * bool(one.groups) + f"{one.messages} messages, {one.segments} segments"
        verdict = "valid" if one.valid else f"not acceptable, {one.errors} errors"
        lines.append(
            f"interchange {one.number}  {one.reference or '?'}  {one.syntax.identifier}:{one.syntax.version}"
            f"  {sender} -> {recipient}  {' '.join(sorted(one.types))}  {what}  {verdict}"
        )
    for title, found in (("errors (not acceptable)", report.errors), ("findings (read anyway)", report.findings)):
        if found:
            lines += ["", title, *(f"  {_line(finding)}" for finding in found)]
    if report.left_out:
        lines.append(f"  {report.left_out} more")
    return lines


def _line(finding: Finding) -> str:
    where = [f"byte {finding.offset}", f"interchange {finding.interchange}"]
    named = (
        ("message", finding.message),
        ("segment", finding.segment),
        ("element", finding.element),
        ("component", finding.component),
        ("repeat", finding.repeat),
    )
    where += [f"{name} {value}" for name, value in named if value is not None]
    return f"{finding.code:>3}  {', '.join(where)}: {finding.text}"
