"""The log: events, not sentences, to standard error.

*Strategy.* ``noun.past_participle`` with fields by glossary name; one canonical line a message (``message.processed``).
Content never appears, only numbers; secrets have no field to stand in, and tracebacks never show the values of
variables, because those hold messages. Standard output belongs to the commands.

The lines of messages must cost microseconds: the time of a second is written once, lines without a traceback are put
together here, much as structlog's renderer would, and those of one commit leave in one write (:func:`info_lines`).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer

__all__ = ["configure", "info_lines"]

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Stamp:
    """Adds ``timestamp``: UTC with microseconds, ISO 8601."""

    def __init__(self) -> None:
        self._second: tuple[int, str] = (0, "")

    def __call__(self, _logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        now, rest = divmod(time.time_ns() // 1000, 1_000_000)
        second = self._second
        if now != second[0]:
            second = self._second = (now, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)))
        event["timestamp"] = f"{second[1]}.{rest:06d}Z"
        return event


class _Plain:
    """Lines without colour: time, level, event, then the fields by name. Tracebacks are left to structlog."""

    def __init__(self) -> None:
        self._full = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)

    def __call__(self, logger: Any, name: str, event: structlog.typing.EventDict) -> str:  # noqa: ANN401 - structlog's
        if "exc_info" in event or "stack_info" in event or "exception" in event:
            return str(self._full(logger, name, event))
        out = [f"{event.pop('timestamp')} [{event.pop('level'):<9}] {event.pop('event'):<30}"]
        for key in sorted(event):
            value = event[key]
            if type(value) is int or (type(value) is str and value.isalnum()):
                out.append(f"{key}={value}")
            else:
                out.append(f"{key}={_shown(value)}")
        return " ".join(out)


def _shown(value: object) -> str:
    """A value as it is; quoted where it would run into its neighbours."""
    text = value if type(value) is str else str(value)
    return text if text.isprintable() and " " not in text and "=" not in text else repr(text)


def _json(event: Any, **_options: Any) -> str:  # noqa: ANN401 - whatever was logged
    return msgspec.json.encode(event, enc_hook=repr).decode()


class _Bulk:
    """Where :func:`info_lines` writes: nowhere, through structlog, or straight with a renderer of ours."""

    render: Callable[[Any, str, Any], str] | None = None
    silent = False
    stamp = _Stamp()


def info_lines(log: Any, event: str, lines: list[dict[str, Any]]) -> None:  # noqa: ANN401 - structlog's own type
    """Log one event many times, at level info, in one write; ``log`` is used where the renderer is structlog's."""
    if _Bulk.silent or not lines:
        return
    render = _Bulk.render
    if render is None:
        for line in lines:
            log.info(event, **line)
        return
    stamp = _Bulk.stamp(None, "info", {})["timestamp"]  # one moment: they became true with one commit
    out = [render(None, "info", {"timestamp": stamp, "level": "info", "event": event, **line}) for line in lines]
    out.append("")
    sys.stderr.write("\n".join(out))
    sys.stderr.flush()


def _json_line(_logger: object, _name: str, event: structlog.typing.EventDict) -> str:
    return _json(event)


def configure(form: str = "console", level: str = "info") -> None:
    """Set up structlog: ``form`` is console or json, ``level`` the least severe event that is written."""
    _Bulk.silent = _LEVELS[level] > _LEVELS["info"]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        _Stamp(),
    ]
    renderer: list[structlog.typing.Processor]
    if form == "json":
        _Bulk.render = _json_line
        frames = ExceptionDictTransformer(show_locals=False)
        renderer = [
            structlog.processors.ExceptionRenderer(frames),
            structlog.processors.JSONRenderer(_json),
        ]
    elif sys.stderr.isatty():
        _Bulk.render = None
        renderer = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        plain = _Bulk.render = _Plain()
        renderer = [plain]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(_LEVELS[level], logging.WARNING), stream=sys.stderr)
