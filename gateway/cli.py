"""The command ``sekisho``.

*Strategy.* One file a group of commands; each is imported when it is called, so that ``sekisho decode`` does not pay
for the gateway. The list below is the whole front door. Exit codes: 0 done; 1 not acceptable, or what was asked for is
not there; 2 wrong usage or settings.
"""

from __future__ import annotations

import difflib
import io
import sys
from importlib import import_module
from typing import Final

import click

__all__ = ["main"]

_COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "serve": ("cli_service", "serve"),
    "check-config": ("cli_service", "check_config"),
    "db": ("cli_service", "db"),
    "decode": ("cli_codec", "decode"),
    "encode": ("cli_codec", "encode"),
    "codes": ("cli_codes", "codes"),
    "explain": ("cli_codes", "explain"),
    "procedures": ("cli_procedures", "procedures"),
    "mailbox": ("cli_mailbox", "mailbox"),
    "quarantine": ("cli_quarantine", "quarantine"),
    "user": ("cli_user", "user"),
    "box": ("cli_registry", "box"),
    "route": ("cli_registry", "route"),
    "place": ("cli_registry", "place"),
    "ebms": ("cli_ebms", "ebms"),
    "window": ("cli_window", "window"),
    "clock": ("cli_clock", "clock"),
    "act": ("cli_act", "act"),
    "records": ("cli_registry", "records"),
    "send": ("cli_send", "send"),
    "collect": ("cli_send", "collect"),
    "conntest": ("cli_conntest", "conntest"),
    "demo": ("cli_conntest", "demo"),
    "prove": ("cli_prove", "prove"),
}
"""Command -> the file beside this one and the name in it, in the order of ``--help``."""


class _Lazy(click.Group):
    """A group that knows its commands by name and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's form
        """In the order of a day's work, not of the alphabet."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - same
        """Import the command's file."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command = getattr(import_module(f"sekisho.gateway.{module}"), name)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is none of that name."""
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else "; sekisho --help lists them"
            ctx.fail(f'no command "{args[0]}"{hint}')
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="sekisho", message="%(prog)s %(version)s")
def main() -> None:
    """sekisho: an EDI gateway that stands where NACCS stands for an in-house system.

    Exit codes: 0 done; 1 not acceptable, or what was asked for is not there; 2 wrong usage or settings.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal of another encoding (EUC-JP, ASCII) shows what it can; it must not end a command.
            stream.reconfigure(errors="backslashreplace")
