"""Settings: what ``gateway.toml`` may say, every default in one place, every limit with its reason.

*Strategy.* One frozen Struct a table, in the order of a message's way. :func:`load` reads a file, collects everything
that is wrong with it (unknown keys with a suggestion, wrong types, rules between keys) and raises one
:class:`SettingsError`; whoever holds a :class:`Settings` need not check it again. Paths in it are absolute. Times are
Japan time. ``samples/gateway.toml`` shows every key.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field, structs

from sekisho.gateway import ebms_partners
from sekisho.gateway.clock import JAPAN, to_us
from sekisho.gateway.ebms_partners import EbmsPartner
from sekisho.gateway.examinations import ExaminationRule
from sekisho.gateway.partners import Partner, problems_of
from sekisho.gateway.settings_doors import Certificate, Listener
from sekisho.gateway.settings_limits import Limits
from sekisho.gateway.strict_toml import read_file, read_table

__all__ = [
    "BUSINESS",
    "Certificate",
    "Delivery",
    "Gateway",
    "Identity",
    "Limits",
    "Listener",
    "Log",
    "NumberSeries",
    "Operators",
    "Partner",
    "Registry",
    "Settings",
    "SettingsError",
    "StoreSettings",
    "Window",
    "load",
    "warnings",
]

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Filled = Annotated[str, Meta(min_length=1)]

_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"
"""The alphabet without I and O, which look like digits."""

BUSINESS: Final[dict[str, Any]] = {
    "start_at_opening": "K",
    "start_at_arrival": "I",
    "default_office": "",
    "many_lines_over": 1,
    "customs_trade": "customs",
    "customs_user": "",
    "review_demanded_by": ["*"],
    "own_clearance_trades": ["trader"],
    "correction": "merge",
    "declaration_starts": {},
    "destinations_most": 100,
    "waiting_for_cargo": 100,
    "overtime_days": 31,
    "release_needs_permit": True,
    "attached_file_bytes": 10 * 1024 * 1024,
    "attached_files": 100,
    "attached_bytes": 100 * 1024 * 1024,
    "ledger_rows": 2000,
    "management_days": 7,
    "management_rows": 4000,
    "licence_authority_trade": "ministry",
    "licence_authority_user": "",
    "licence_valid_days": 180,
    "licence_endorsements": 999,
    "electronic_licence_codes": ["ELIC"],
}
"""What handlers find in ``[business]`` when the file says nothing."""


class SettingsError(Exception):
    """A file that cannot be used; ``problems`` has one line each, with the path of the key."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{path}: {count}\n" + "\n".join(f"  {problem}" for problem in problems))
        self.path = path
        self.problems = list(problems)


def _japan_time(key: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(key, f'"{text}"; a Japan time YYYY-MM-DDTHH:MM[:SS] is expected') from None
    if moment.tzinfo is not None:
        raise ValueError(key, f'"{text}" names a time zone; Japan time is meant always, leave the zone out')
    return moment.replace(tzinfo=JAPAN)


class Gateway(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[gateway]``: which gateway this is."""

    environment: Literal["production", "test"] = "test"
    """In test the clock may be set; production refuses that."""
    generation: Literal[6, 7] = 7
    """Which generation's item tables apply."""
    data: Filled = "var"
    """Folder of the embedded store; relative to the settings file. ``--data`` wins."""
    clock: str = "system"
    """``system``, or the Japan time to start at (YYYY-MM-DDTHH:MM[:SS]), in a test environment."""
    handlers: tuple[Filled, ...] = ()
    """Modules with business codes of your own, imported at start."""
    hostname: Filled = "localhost"
    """The name in the SMTP greeting and in our EHLO; a real one when peers are elsewhere."""
    allow_plain: bool = False
    """Let listeners without encryption stand on addresses that others can reach."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        if self.clock != "system":
            _japan_time("clock", self.clock)
            if self.environment == "production":
                raise ValueError("clock", 'a set clock is for tests; production takes "system" only')

    @property
    def starts_at(self) -> datetime | None:
        """The Japan time the clock starts at; None: the system's clock."""
        return None if self.clock == "system" else _japan_time("clock", self.clock)


class StoreSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[store]``: where everything is kept, and for how long."""

    url: Filled = "sqlite"
    """``sqlite`` (a file in the data folder) or ``memory`` (for trials: a restart forgets)."""
    retention_days: Count = 7
    """How long a letter stays that nobody fetched, its delivery day included."""
    retention_fetched_days: Count = 7
    """The same, of letters that were delivered."""
    journal_days: Count = 90
    """How long a processed request stays with its bytes once its letters are gone."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        if self.url.startswith(("postgresql:", "postgres:")):
            raise ValueError("url", 'PostgreSQL is not yet in this release; "sqlite" or "memory" is expected')
        if self.url not in ("sqlite", "memory"):
            raise ValueError("url", f'"{self.url}"; "sqlite" or "memory" is expected')


class Registry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[registry]``: users, boxes, places."""

    seed: str = ""
    """A registry.toml, loaded at start for what is not there yet; afterwards the store is the truth."""


class Log(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[log]``: goes to standard error."""

    format: Literal["console", "json"] = "console"
    """For people, or one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important that is written."""


class Identity(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[identity]``: when two mails are the same request."""

    window_seconds: Annotated[float, Meta(ge=0)] = 3600
    """Identical bytes with filled tags but no Message-ID within this time are one request (Unspecified: our choice)."""


class Delivery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[delivery]``: pushing replies to boxes."""

    retry_minutes: Annotated[tuple[Annotated[float, Meta(gt=0)], ...], Meta(min_length=1)] = (1, 2, 5, 10, 30, 60)
    """Waits between attempts; the last one repeats."""
    give_up_hours: Annotated[float, Meta(gt=0)] = 24
    """After this the letter stays in its box for SYG and the operator."""
    unknown_after_minutes: Annotated[float, Meta(gt=0)] = 3
    """Wait after a connection broke before the peer's answer: the peer may have it, so no hurry."""
    port: Annotated[int, Meta(ge=1, le=65535)] = 25
    """Where boxes without ``push`` are reached."""
    keep_alive_seconds: Annotated[float, Meta(ge=0)] = 60
    """An idle connection to a peer is kept this long."""
    data_reply_seconds: Seconds = 120
    """How long a peer may think after the final dot."""
    spread: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    """Retries vary by this share, so that a returning peer is not met by all at once."""
    recall_seconds: Annotated[float, Meta(ge=0.1)] = 2
    """A box that could not be reached is tried again this soon when something fresh came for it: its user is back."""


class NumberSeries(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One series of numbers: how number ``n`` is written.

    ``{n}`` is the counter, ``{check}`` its remainder by 7, ``{letter}`` one of 24 letters by it (Unspecified: our
    choice; how official numbers are composed is not published).
    """

    pattern: Filled = "{n:010d}{check}"
    """A format with ``{n}``, ``{check}`` and ``{letter}``."""
    size: Annotated[int, Meta(ge=1, le=35)] = 11
    """How long the number is."""

    def __post_init__(self) -> None:
        """Check that the pattern gives numbers of the size."""
        try:
            names = {name for _, name, _, _ in string.Formatter().parse(self.pattern) if name is not None}
            known = "n" in names and names <= {"n", "check", "letter"}
            text = self.text(1) if known else ""
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError("pattern", str(error)) from None
        if not text:
            raise ValueError("pattern", f'"{self.pattern}"; {{n}} is a must, {{check}} and {{letter}} are known')

    def text(self, n: int) -> str:
        """Number ``n`` of the series. Raises ValueError when it is not ``size`` characters long: used up."""
        text = self.pattern.format(n=n, check=n % 7, letter=_LETTERS[n % len(_LETTERS)])
        if len(text.encode()) != self.size:
            raise ValueError(
                f'"{self.pattern}" gives {text!r}, {len(text.encode())} characters; {self.size} are expected'
            )
        return text


SERIES: Final[Mapping[str, NumberSeries]] = MappingProxyType(
    {"bond-in-slip": NumberSeries(pattern="{n:06d}{check}", size=7)}
)
"""Series whose numbers have another length than 11 by their item tables: 搬入伝票番号 is an7."""


class Window(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[window]]``: a planned stop of the service or of one business."""

    business: str = ""
    """A business code; empty: the whole service."""
    code: Literal["A0002", "A0006", "A0010", "A0011", "U0002"] = "A0002"
    """What is answered meanwhile."""
    starts: Filled
    """Japan time, YYYY-MM-DDTHH:MM[:SS]."""
    ends: Filled
    """The first moment after it."""
    text: str = ""
    """For operators."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        starts, ends = _japan_time("starts", self.starts), _japan_time("ends", self.ends)
        if ends <= starts:
            raise ValueError("ends", f'"{self.ends}" is not after starts "{self.starts}"')

    @property
    def starts_us(self) -> int:
        """The start in microseconds since the epoch."""
        return to_us(_japan_time("starts", self.starts))

    @property
    def ends_us(self) -> int:
        """The end in microseconds since the epoch."""
        return to_us(_japan_time("ends", self.ends))


class Operators(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[operators]``: where letters go that have no other place."""

    box: Filled = "OPERATORS"
    """Its box; made at start if it is not there."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything ``gateway.toml`` says. Immutable; :func:`load` is the way to get one."""

    gateway: Gateway = field(default_factory=Gateway)
    store: StoreSettings = field(default_factory=StoreSettings)
    limits: Limits = field(default_factory=Limits)
    listener: tuple[Listener, ...] = ()
    certificate: tuple[Certificate, ...] = ()
    registry: Registry = field(default_factory=Registry)
    log: Log = field(default_factory=Log)
    identity: Identity = field(default_factory=Identity)
    delivery: Delivery = field(default_factory=Delivery)
    rights: dict[str, tuple[Filled, ...]] = field(default_factory=dict)
    """業種 -> the business codes it may run (``*`` and ``?`` allowed); a 業種 that is not named may run all."""
    business: dict[str, Any] = field(default_factory=dict)
    """Free-form, given to handlers; :data:`BUSINESS` where the file says nothing."""
    numbers: dict[str, str | NumberSeries] = field(default_factory=dict)
    """Series -> pattern, or a table of pattern and size; ``default`` is for the series not named."""
    window: tuple[Window, ...] = ()
    operators: Operators = field(default_factory=Operators)
    partner: tuple[Partner, ...] = ()
    ebms: tuple[EbmsPartner, ...] = ()
    """Agreements with ebMS partners; their file names are relative to the settings file."""
    examination: tuple[ExaminationRule, ...] = ()
    """Customs' side: the first rule that matches says how something is examined; none: simple, at once."""

    @property
    def data(self) -> Path:
        """The data folder."""
        return Path(self.gateway.data)

    def may_run(self, trade: str, business_code: str) -> bool:
        """Whether the 業種 has a right to the business (A0012)."""
        patterns = self.rights.get(trade)
        return patterns is None or any(fnmatchcase(business_code, pattern) for pattern in patterns)

    def series(self, kind: str) -> NumberSeries:
        """How numbers of that kind are written."""
        found = self.numbers.get(kind) or SERIES.get(kind) or self.numbers.get("default")
        if isinstance(found, str):
            return NumberSeries(pattern=found)
        return found if found is not None else NumberSeries()

    @property
    def patterns(self) -> dict[str, str]:
        """Pattern by series, as the file has them."""
        return {kind: self.series(kind).pattern for kind in self.numbers}


def load(path: Path | str, data: Path | str | None = None) -> Settings:
    """The settings in a file; ``data`` replaces the data folder. Raises :class:`SettingsError` with every problem."""
    path = Path(path)
    problems: list[str] = []
    tables = read_file(path, problems)
    if problems:
        raise SettingsError(path, problems)
    settings = read_table(Settings, tables, "", problems)
    if settings is not None:
        problems.extend(_between(settings))
    if problems or settings is None:
        raise SettingsError(path, problems)
    folder = path.resolve().parent
    where = Path(data) if data is not None else folder / settings.gateway.data
    seed = settings.registry.seed
    certificates = [
        structs.replace(
            one,
            certificate=str(folder / one.certificate),
            key=str(folder / one.key),
            client_ca=str(folder / one.client_ca) if one.client_ca else "",
        )
        for one in settings.certificate
    ]
    listeners = [
        structs.replace(one, host_keys=tuple(str(folder / key) for key in one.host_keys)) for one in settings.listener
    ]
    return structs.replace(
        settings,
        listener=tuple(listeners),
        certificate=tuple(certificates),
        ebms=tuple(ebms_partners.placed(one, folder) for one in settings.ebms),
        gateway=structs.replace(settings.gateway, data=str(where.resolve())),
        registry=Registry(seed=str(folder / seed) if seed else ""),
        business=BUSINESS | settings.business,
    )


def _between(settings: Settings) -> list[str]:
    """What is wrong between keys that are each right."""
    problems = []
    if not settings.listener:
        problems.append("listener: missing; at least one [[listener]] is expected")
    names: set[str] = set()
    for at, listener in enumerate(settings.listener):
        if listener.name in names:
            problems.append(f'listener[{at}].name: "{listener.name}" is the name of another listener')
        names.add(listener.name)
        if listener.certificate and listener.certificate not in {one.name for one in settings.certificate}:
            problems.append(f'listener[{at}].certificate: there is no [[certificate]] named "{listener.certificate}"')
        if not listener.is_loopback and not listener.encrypts and not settings.gateway.allow_plain:
            problems.append(
                f'listener[{at}].address: "{listener.address}" can be reached from elsewhere, and {listener.kind} '
                "carries passwords in the clear; use 127.0.0.1 or tls, or set gateway.allow_plain = true"
            )
    for at, certificate in enumerate(settings.certificate):
        if certificate.self_signed and settings.gateway.environment == "production":
            problems.append(f"certificate[{at}].self_signed: is for tests; in production an issuer signs certificates")
        if certificate.name in {one.name for one in settings.certificate[:at]}:
            problems.append(f'certificate[{at}].name: "{certificate.name}" is the name of another certificate')
    problems.extend(problems_of(settings.partner))
    problems.extend(ebms_partners.problems_of(settings.ebms))
    for kind in settings.numbers:
        try:
            settings.series(kind)
        except ValueError as error:
            problems.append(f"numbers.{kind}: {error.args[-1]}")
    if settings.limits.message_bytes > settings.limits.max_object:
        problems.append(
            "limits.max_object: smaller than limits.message_bytes; the mail around a message needs room too"
        )
    return problems


def warnings(settings: Settings) -> list[str]:
    """What works but should be known: one line each, for the log at start and check-config."""
    out = [
        f'listener "{listener.name}" on {listener.address} takes passwords and declarations without encryption; '
        "everybody on the way can read and change them: put a tunnel or a TLS proxy in front"
        for listener in settings.listener
        if not listener.is_loopback and not listener.encrypts
    ]
    out.extend(ebms_partners.warnings_of(settings.ebms))
    if settings.store.url == "memory":
        out.append('store.url = "memory": a restart forgets every message, also those that were answered yes')
    if settings.gateway.clock != "system":
        out.append(f"gateway.clock: the clock starts at {settings.gateway.clock} Japan time, not now")
    return out
