"""The log: events, not sentences, to standard error.

*Strategy.* ``noun.past_participle`` with fields by glossary name; one canonical line a message (``message.processed``).
Content never appears, only numbers; secrets have no field to stand in, and tracebacks never show the values of
variables, because those hold messages. Standard output belongs to the commands.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog
from structlog.tracebacks import ExceptionDictTransformer

__all__ = ["configure"]

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(form: str = "console", level: str = "info") -> None:
    """Set up structlog: ``form`` is console or json, ``level`` the least severe event that is written."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor]
    if form == "json":
        frames = ExceptionDictTransformer(show_locals=False)
        renderer = [
            structlog.processors.ExceptionRenderer(frames),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        renderer = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(_LEVELS[level], logging.WARNING), stream=sys.stderr)
