"""The registry file: users, boxes, routes, places, offices, cargo and invoices that a store begins with.

*Strategy.* ``registry.toml`` is read as strictly as the settings. :func:`seed` writes what is not in the store yet and
leaves the rest alone, since after the first start the store is the truth. Entries refer to each other by id; a
reference that neither the file nor the store can follow is a problem, and then nothing is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field, structs

from sekisho.gateway.settings import SettingsError
from sekisho.gateway.strict_toml import read_file, read_table
from sekisho.mailboxes.letters import Account, Box, Office, Place, Route
from sekisho.mailboxes.store import Unit

__all__ = [
    "CARGO",
    "INVOICE",
    "BoxEntry",
    "CargoEntry",
    "InvoiceEntry",
    "OfficeEntry",
    "PlaceEntry",
    "RegistryFile",
    "RouteEntry",
    "UserEntry",
    "cargo_record",
    "ensure_box",
    "invoice_record",
    "read_registry",
    "seed",
]

CARGO: Final = "cargo"
"""The kind under which cargo records are kept."""
INVOICE: Final = "invoice"
DOORS: Final = ("smtp-push", "pop3", "sftp", "ebms")

_USER_ID: Final = re.compile(r"[A-Z0-9]{8}")
_USER: Final = re.compile(r"[A-Z0-9]{5}(?:[A-Z0-9]{3})?")
_PASSWORD: Final = re.compile(r"(?=.*[A-Z])(?=.*[0-9])[A-Z0-9]{6,8}")
_BOX: Final = re.compile(r"[A-Z0-9][A-Z0-9_.-]{0,31}")
_ADDRESS: Final = re.compile(r"[!-~]+@[A-Za-z0-9.-]+")
_KEY: Final = re.compile(r"(?:ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}(?: [^\r\n]*)?")
_PUSH: Final = re.compile(r"(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")
_ROMAN: Final = re.compile(r"[ -_]*")
_HOURS: Final = re.compile(r"(?:[01][0-9]|2[0-3])[0-5][0-9]-(?:(?:[01][0-9]|2[0-3])[0-5][0-9]|2400)")
_DATE: Final = re.compile(r"(?:19|20|21)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Filled = Annotated[str, Meta(min_length=1)]


def _check(key: str, text: str, pattern: re.Pattern[str], expected: str) -> None:
    if not pattern.fullmatch(text):
        raise ValueError(key, f'"{text}"; {expected} is expected')


def _check_address(key: str, text: str) -> None:
    _check(key, text, _ADDRESS, "a mail address of at most 64 characters")
    if len(text) > 64:  # メールアドレス in the header of a reply has 64 bytes
        raise ValueError(key, f'"{text}" has {len(text)} characters; the header of a reply holds 64')


class UserEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[user]]``: one user ID."""

    id: Filled
    """利用者コード (5) and 識別番号 (3)."""
    password: Filled
    """6 to 8 of A-Z and 0-9, at least one letter and one digit."""
    password_state: Literal["active", "temporary"] = "active"
    """temporary: only URY C is open until it is changed."""
    trade: str = ""
    """業種, a word of your own; settings ``[rights]`` refer to it."""
    specialist: bool = False
    """An ID of a 通関士."""
    in_house: bool = False
    """An ID of an in-house system (自社システム用): siblings cannot initialise its password."""
    mail_from: tuple[str, ...] = ()
    """The sender addresses registered to it."""
    box: Filled
    """Where its replies go."""
    suspended: bool = False
    """Answer A0014."""
    strict: bool = False
    """Refuse what is otherwise read with a finding."""
    tolerate_length: bool = False
    """Take a wrong 電文長 as a finding."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        _check("id", self.id, _USER_ID, "8 of A-Z and 0-9 (利用者コード 5 and 識別番号 3)")
        if not _PASSWORD.fullmatch(self.password):
            raise ValueError("password", "6 to 8 of A-Z and 0-9, at least one letter and one digit, are expected")
        for at, address in enumerate(self.mail_from):
            _check_address(f"mail_from[{at}]", address)

    def account(self, hasher: Callable[[str], str]) -> Account:
        """The account as a store keeps it."""
        given = structs.asdict(self)
        return Account(password_hash=hasher(given.pop("password")), **given)


class BoxEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[box]]``: one mailbox."""

    id: Filled
    """Its name: letters, digits, ``_ . -``."""
    address: Filled
    """Its mail address."""
    doors: tuple[Literal["smtp-push", "pop3", "sftp", "ebms"], ...] = ("smtp-push",)
    """How letters leave; an empty list: they stay until an operator looks."""
    push: str = ""
    """host:port of the smtp-push door; empty: the DNS address of the address's domain."""
    password: str = ""
    """Of the doors that letters are fetched at."""
    apop: bool = False
    """Keep the password readable too, because APOP cannot do with a hash of it; TLS is better."""
    keys: tuple[str, ...] = ()
    """Public keys that open the sftp door without the password: ``ssh-ed25519 AAAA... comment``."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        _check("id", self.id, _BOX, "up to 32 of A-Z, 0-9, _ . and -")
        _check_address("address", self.address)
        if self.push:
            _check("push", self.push, _PUSH, "host:port")
        for at, key in enumerate(self.keys):
            _check(f"keys[{at}]", key, _KEY, "a line of a public key file, like ssh-ed25519 AAAA...")

    def box(self, hasher: Callable[[str], str]) -> Box:
        """The box as a store keeps it."""
        hashed = hasher(self.password) if self.password else ""
        secret = self.password if self.apop else ""
        return Box(self.id, self.address, self.doors, self.push, hashed, keys=self.keys, secret=secret)


class RouteEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[route]]``: 宛先管理."""

    user: Filled
    """A user ID, or a 利用者コード for all its IDs."""
    output: Filled
    """出力情報コード."""
    box: Filled
    """Where outputs of this code go."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        _check("user", self.user, _USER, "a user ID (8) or a 利用者コード (5)")
        if len(self.output) > 7:
            raise ValueError("output", f'"{self.output}"; an output code has up to 7 characters')


class PlaceEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[place]]``: a bonded area or berth."""

    code: Filled
    """保税地域コード."""
    user: Filled
    """The 利用者コード that receives EXC outputs for it."""
    name: str = ""
    """In Roman letters, as items of outputs take it."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        _check("user", self.user, _USER, "a 利用者コード (5)")
        _check("name", self.name, _ROMAN, "a name in upper-case Roman letters")


class OfficeEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[office]]``: a customs office and its 開庁時間."""

    code: Filled
    """税関官署コード, 2 characters."""
    name: str = ""
    """In Roman letters."""
    hours: dict[str, str] = field(default_factory=dict)
    """mon ... sun to HHMM-HHMM; a day that is not named is closed."""
    holidays: tuple[str, ...] = ()
    """Closed days, YYYYMMDD."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        _check("code", self.code, re.compile("[A-Z0-9]{2}"), "2 of A-Z and 0-9")
        _check("name", self.name, _ROMAN, "a name in upper-case Roman letters")
        for day, hours in self.hours.items():
            if day not in _DAYS:
                raise ValueError(f"hours.{day}", f"unknown day; {', '.join(_DAYS)} are known")
            _check(f"hours.{day}", hours, _HOURS, "HHMM-HHMM")
        for at, holiday in enumerate(self.holidays):
            _check(f"holidays[{at}]", holiday, _DATE, "YYYYMMDD")


class CargoEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[cargo]]``: what the centre knows of one cargo, for call-ups. Text as the items of outputs take it."""

    key: Filled
    """貨物管理番号: B/L or container number, up to 35 characters."""
    description: str = ""
    """品名."""
    packages: Annotated[int, Meta(ge=0)] = 0
    """個数."""
    package_unit: str = ""
    """荷姿コード."""
    weight: int | float = 0
    """重量."""
    weight_unit: str = ""
    """重量単位コード."""
    vessel_code: str = ""
    """船舶コード (call sign)."""
    vessel_name: str = ""
    """船名."""
    arrival_date: str = ""
    """入港年月日, YYYYMMDD."""
    place: str = ""
    """The bonded area it lies in."""
    containers: tuple[str, ...] = ()
    """コンテナ番号."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        _check("key", self.key, re.compile("[A-Z0-9-]{1,35}"), "up to 35 of A-Z, 0-9 and -")
        if self.weight < 0:
            raise ValueError("weight", f"{self.weight}; a number from 0 is expected")
        if self.arrival_date:
            _check("arrival_date", self.arrival_date, _DATE, "YYYYMMDD")


class InvoiceEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[invoice]]``: an electronic invoice that the centre has, for IIV and the call-ups of declarations."""

    key: Filled
    """電子インボイス受付番号, up to 10 characters."""
    user: str = ""
    """利用者コード it belongs to."""
    registered: str = ""
    """登録年月日, YYYYMMDD."""
    items: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    """What it says, by the short names of IDA's items; rows as a list."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        _check("key", self.key, re.compile("[A-Z0-9]{1,10}"), "up to 10 of A-Z and 0-9")
        if self.user:
            _check("user", self.user, re.compile("[A-Z0-9]{5}"), "5 of A-Z and 0-9")
        if self.registered:
            _check("registered", self.registered, _DATE, "YYYYMMDD")


class RegistryFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole ``registry.toml``."""

    user: tuple[UserEntry, ...] = ()
    box: tuple[BoxEntry, ...] = ()
    route: tuple[RouteEntry, ...] = ()
    place: tuple[PlaceEntry, ...] = ()
    office: tuple[OfficeEntry, ...] = ()
    cargo: tuple[CargoEntry, ...] = ()
    invoice: tuple[InvoiceEntry, ...] = ()


def read_registry(path: Path | str) -> RegistryFile:
    """A registry file. Raises :class:`~sekisho.gateway.settings.SettingsError` with every problem."""
    path = Path(path)
    problems: list[str] = []
    tables = read_file(path, problems)
    registry = read_table(RegistryFile, tables, "", problems) if not problems else None
    if registry is not None:
        problems.extend(_doubles(registry))
    if registry is None or problems:
        raise SettingsError(path, problems)
    return registry


def _doubles(registry: RegistryFile) -> list[str]:
    problems = []
    keyed: list[tuple[str, str, list[str]]] = [
        ("user", "id", [entry.id for entry in registry.user]),
        ("box", "id", [entry.id for entry in registry.box]),
        ("route", "output", [f"{entry.user} {entry.output}" for entry in registry.route]),
        ("place", "code", [entry.code for entry in registry.place]),
        ("office", "code", [entry.code for entry in registry.office]),
        ("cargo", "key", [entry.key for entry in registry.cargo]),
        ("invoice", "key", [entry.key for entry in registry.invoice]),
    ]
    for table, key, values in keyed:
        first: dict[str, int] = {}
        for at, value in enumerate(values):
            if first.setdefault(value, at) != at:
                problems.append(f'{table}[{at}].{key}: "{value}" is in {table}[{first[value]}] already')
    return problems


def _astray(registry: RegistryFile, unit: Unit) -> list[str]:
    """References to boxes that neither the file nor the store has."""
    known = {entry.id for entry in registry.box}
    named = [(f"user[{at}].box", entry.box) for at, entry in enumerate(registry.user)]
    named += [(f"route[{at}].box", entry.box) for at, entry in enumerate(registry.route)]
    return [
        f'{path}: there is no box "{box}"; add a [[box]] or correct the name'
        for path, box in named
        if box not in known and unit.box(box) is None
    ]


def seed(unit: Unit, path: Path | str, hasher: Callable[[str], str], now_us: int) -> dict[str, int]:
    """Write what a registry file has and the store has not; how many of each table.

    ``hasher`` makes a kept hash of a password (about 20 ms a call, for new users and boxes only). Raises
    :class:`~sekisho.gateway.settings.SettingsError` before anything is written.
    """
    registry = read_registry(path)
    problems = _astray(registry, unit)
    if problems:
        raise SettingsError(Path(path), problems)
    boxes = [entry for entry in registry.box if unit.box(entry.id) is None]
    for entry in boxes:
        unit.put_box(entry.box(hasher), new=True)
    users = [entry for entry in registry.user if unit.account(entry.id) is None]
    for user in users:
        unit.put_account(user.account(hasher), new=True)
    there = {(route.user, route.output) for route in unit.routes()}
    routes = [entry for entry in registry.route if (entry.user, entry.output) not in there]
    for route in routes:
        unit.put_route(Route(route.user, route.output, route.box))
    places = [entry for entry in registry.place if unit.place(entry.code) is None]
    for place in places:
        unit.put_place(Place(place.code, place.user, place.name))
    offices = [entry for entry in registry.office if unit.office(entry.code) is None]
    for office in offices:
        unit.put_office(Office(office.code, office.name, office.hours, office.holidays))
    cargo = [entry for entry in registry.cargo if unit.record(CARGO, entry.key) is None]
    for record in cargo:
        unit.put_record(CARGO, record.key, cargo_record(record), now_us)
    invoices = [entry for entry in registry.invoice if unit.record(INVOICE, entry.key) is None]
    for invoice in invoices:
        unit.put_record(INVOICE, invoice.key, invoice_record(invoice), now_us)
    return {
        "user": len(users),
        "box": len(boxes),
        "route": len(routes),
        "place": len(places),
        "office": len(offices),
        "cargo": len(cargo),
        "invoice": len(invoices),
    }


def cargo_record(entry: CargoEntry) -> dict[str, Any]:
    """The business record of a cargo: its fields by name, the key among them."""
    return structs.asdict(entry) | {"containers": list(entry.containers)}


def invoice_record(entry: InvoiceEntry) -> dict[str, Any]:
    """The business record of an invoice."""
    items = {name: value if isinstance(value, str) else list(value) for name, value in entry.items.items()}
    return {"user_code": entry.user, "registered_at": entry.registered, "items": items}


def ensure_box(unit: Unit, box: str, hostname: str) -> bool:
    """Make a box without any door (the operators') if it is not there; whether it was made."""
    if unit.box(box) is not None:
        return False
    unit.put_box(Box(box, f"{box}@{hostname}", ()), new=True)
    return True
