"""What is decided: one file a procedure family, one small function a business code.

This is the door of the room. To add a business code: its item table into ``layouts/``, its line into ``codes.tsv``,
and, if it decides anything, a function under ``@handles`` in its family's file (docs/add-a-business-code.md).
"""

from importlib import import_module

from sekisho.handlers import (
    attachments,
    bonded_changes,
    bonded_movements,
    bonded_transport,
    bookings,
    container_yard,
    declaring,
    delegation,
    destinations,
    duty_free,
    endorsements,
    export_declaration,
    export_inquiries,
    export_manifest,
    export_permits,
    foreign_exchange,
    house_waybills,
    import_changes,
    import_inquiries,
    import_manifest,
    imports,
    inquiries,
    licence_inquiries,
    licence_parties,
    link_check,
    management_documents,
    manifest,
    overtime,
    passenger_lists,
    retrieval,
    review,
    ship_side,
    specialists,
    user_settings,
    vessel_reports,
    warehouse,
)
from sekisho.handlers.kit import (
    EDIFACT,
    HANDLERS,
    SENDER,
    Context,
    EdifactHandler,
    Handler,
    Originator,
    Outcome,
    Output,
    Party,
    handles,
    reads,
    refuse,
    single_items,
)
from sekisho.handlers.plain import answer
from sekisho.handlers.tables import business_codes, catalogue, key_item, result_list, system_letter

__all__ = [
    "EDIFACT",
    "HANDLERS",
    "SENDER",
    "Context",
    "EdifactHandler",
    "Handler",
    "Originator",
    "Outcome",
    "Output",
    "Party",
    "business_codes",
    "catalogue",
    "families",
    "find",
    "handles",
    "is_of",
    "key_item",
    "reads",
    "refuse",
    "result_list",
    "single_items",
    "system_letter",
]

families = (
    link_check,
    user_settings,
    delegation,
    destinations,
    specialists,
    review,
    declaring,
    export_declaration,
    export_permits,
    export_manifest,
    export_inquiries,
    retrieval,
    bonded_transport,
    bonded_changes,
    bonded_movements,
    ship_side,
    overtime,
    duty_free,
    imports,
    import_changes,
    import_manifest,
    import_inquiries,
    house_waybills,
    warehouse,
    attachments,
    inquiries,
    management_documents,
    manifest,
    vessel_reports,
    container_yard,
    bookings,
    passenger_lists,
    foreign_exchange,
    licence_parties,
    licence_inquiries,
    endorsements,
)
"""The modules whose import registers the decisions: the whole list, nothing is discovered."""


def is_of(handler: Handler, modules: tuple[str, ...] = ()) -> bool:
    """Whether a decision is this room's own or stands in one of the named modules."""
    where = handler.decide.__module__
    return any(where == name or where.startswith(f"{name}.") for name in (__name__, *modules))


def find(business_code: str, modules: tuple[str, ...] = (), generation: int = 7) -> Handler | None:
    """The handler of a business code; the plain one where there is a table but no decision; None if it is unknown.

    A decision counts if it is this room's or one of the named modules'; others may be loaded for somebody else.
    """
    for name in modules:
        import_module(name)
    handler = HANDLERS.get(business_code)
    if handler is not None and not is_of(handler, modules):
        handler = None
    if handler is None and catalogue(generation, modules).request(business_code) is not None:
        handler = Handler(business_code, answer)
    return handler
