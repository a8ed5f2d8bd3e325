"""``sekisho serve``, ``sekisho check-config`` and ``sekisho db upgrade``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from sekisho.gateway.cli_store import load_settings
from sekisho.gateway.cli_text import SetupFailed
from sekisho.gateway.settings import Settings, SettingsError, warnings

__all__ = ["check_config", "db", "serve"]

config_option = click.option(
    "-c", "--config", envvar="SEKISHO_CONFIG", required=True, metavar="FILE", help="Settings (or SEKISHO_CONFIG)."
)
data_option = click.option("--data", metavar="DIR", help="The folder of the store, instead of the settings' one.")


@click.command()
@config_option
@data_option
def serve(config: str, data: str | None) -> None:
    """Run the gateway until SIGTERM.

    One JSON line {"event": "gateway.ready", ...} on standard output says when all listeners are up, and where; the log
    goes to standard error. Exit code 1 if the store failed while running.
    """
    settings = load_settings(config, data)
    from sekisho.gateway.app import serve as run  # noqa: PLC0415 - the whole gateway
    from sekisho.gateway.certificates import CertificateError  # noqa: PLC0415 - same
    from sekisho.gateway.msh_profiles import ProfileError  # noqa: PLC0415 - same
    from sekisho.mailboxes import StoreError  # noqa: PLC0415 - same

    _warn(settings)
    try:
        code = _loop(run, settings)
    except (SettingsError, CertificateError, ProfileError) as error:
        raise SetupFailed(str(error)) from None
    except StoreError as error:
        raise SetupFailed(f"{settings.data}: {error}") from None
    except OSError as error:
        raise SetupFailed(f"a listener could not start: {error}; see [[listener]] address in {config}") from None
    sys.exit(code)


def _warn(settings: Settings) -> None:
    """What works but should be known goes into the log first."""
    import structlog  # noqa: PLC0415 - comes with the gateway

    from sekisho.gateway import events  # noqa: PLC0415 - same

    events.configure(settings.log.format, settings.log.level)
    for text in warnings(settings):
        structlog.get_logger("sekisho.settings").warning("settings.warned", text=text)


def _loop(run: object, settings: Settings) -> int:
    """Run on uvloop where there is one: it answers a command in half the time."""
    if not callable(run):
        raise TypeError(run)
    if sys.platform == "win32":
        return int(asyncio.run(run(settings)))
    import uvloop  # noqa: PLC0415 - not on every platform

    return int(uvloop.run(run(settings)))


@click.command("check-config")
@config_option
@data_option
def check_config(config: str, data: str | None) -> None:
    """Read the settings and the registry file and say everything that is wrong with them; nothing is started.

    Exit code 2 if they cannot be used. Warnings name what works but should be known.
    """
    settings = load_settings(config, data)
    problems = []
    if settings.registry.seed:
        from sekisho.gateway.registry import read_registry  # noqa: PLC0415 - only where there is one

        try:
            read_registry(settings.registry.seed)
        except SettingsError as error:
            problems.append(str(error))
    for name in settings.gateway.handlers:
        problems += _module_problem(name)
    lines, notes = _certificates(settings, problems)
    if problems:
        raise SetupFailed("\n".join(problems))
    for warning in [*warnings(settings), *notes]:
        click.echo(f"warning: {warning}")
    for line in lines:
        click.echo(line)
    click.echo(f"{config}: fine; {len(settings.listener)} listener(s), store {settings.store.url} in {settings.data}")


def _certificates(settings: Settings, problems: list[str]) -> tuple[list[str], list[str]]:
    """A line for each certificate with its days left, and warnings; what cannot be used is added to ``problems``."""
    if not settings.certificate:
        return [], []
    from sekisho.gateway.certificates import CertificateError, read_states, server_context  # noqa: PLC0415 - rarely

    lines, notes = [], []
    for certificate in settings.certificate:
        files = (Path(certificate.certificate), Path(certificate.key))
        if certificate.self_signed and not any(file.exists() for file in files):
            lines.append(f'certificate "{certificate.name}": will be made at the start, signed by nobody')
            continue
        try:
            (state,) = read_states([certificate])
            for listener in settings.listener:
                if listener.certificate == certificate.name:
                    server_context(certificate, listener.client_certificates)
        except CertificateError as error:
            problems.append(str(error))
            continue
        lines.append(f'certificate "{state.name}": {state.subject}, {state.days_left} days left')
        if note := state.warning(certificate.warn_days):
            notes.append(note)
    return lines, notes


def _module_problem(name: str) -> list[str]:
    """Import a module of own business codes, as the gateway will."""
    from importlib import import_module  # noqa: PLC0415 - only for own modules

    try:
        import_module(name)
    except Exception as error:  # noqa: BLE001 - a foreign module may fail in any way; the line says how
        return [f'gateway.handlers: "{name}" cannot be imported: {type(error).__name__}: {error}']
    return []


@click.group()
def db() -> None:
    """The store's schema."""


@db.command()
@click.option("-c", "--config", envvar="SEKISHO_CONFIG", metavar="FILE", help="Settings (or SEKISHO_CONFIG).")
@data_option
def upgrade(config: str | None, data: str | None) -> None:
    """Bring the store to this release's schema, or make it; does nothing if it is there already.

    Stop the gateway and copy the folder first.
    """
    if config is None and data is None:
        raise SetupFailed("which store? give -c SETTINGS or --data DIR (or set SEKISHO_CONFIG)")
    folder = load_settings(config, data).data if config is not None else Path(data or "")
    from sekisho.mailboxes import StoreError, migrations  # noqa: PLC0415 - only here

    path = folder / "sekisho.db"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = migrations.version(path)
        after = migrations.upgrade(path)
    except (StoreError, OSError) as error:
        raise SetupFailed(f"{path}: {error}") from None
    click.echo(
        f"{path}: schema {after}" + (", nothing to do" if before == after else f" (was {before or 'not there'})")
    )
