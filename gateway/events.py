"""The log: events, not sentences, to standard error.

*Strategy.* ``noun.past_participle`` with fields by glossary name; one canonical line a message (``message.processed``).
Content never appears, only numbers; secrets have no field to stand in, and tracebacks never show the values of
variables, because those hold messages. Standard output belongs to the commands.

The line of each message is written on the clerk's thread, so it must cost microseconds: the time of a second is written
once, and lines without a traceback are put together here, much as structlog's renderer would.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Final

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer

__all__ = ["configure"]

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
        head = f"{event.pop('timestamp')} [{event.pop('level'):<9}] {event.pop('event'):<30}"
        return " ".join([head, *[f"{key}={_shown(event[key])}" for key in sorted(event)]])


def _shown(value: object) -> str:
    """A value as it is; quoted where it would run into its neighbours."""
    text = value if type(value) is str else str(value)
    return text if text.isprintable() and " " not in text and "=" not in text else repr(text)


def _json(event: Any, **_options: Any) -> str:  # noqa: ANN401 - whatever was logged
    return msgspec.json.encode(event, enc_hook=repr).decode()


def configure(form: str = "console", level: str = "info") -> None:
    """Set up structlog: ``form`` is console or json, ``level`` the least severe event that is written."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        _Stamp(),
    ]
    renderer: list[structlog.typing.Processor]
    if form == "json":
        frames = ExceptionDictTransformer(show_locals=False)
        renderer = [
            structlog.processors.ExceptionRenderer(frames),
            structlog.processors.JSONRenderer(_json),
        ]
    elif sys.stderr.isatty():
        renderer = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        renderer = [_Plain()]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(_LEVELS[level], logging.WARNING), stream=sys.stderr)
