"""Export a list as CSV: Excel opens it, no cell is run as a formula, and an import reads it back unchanged."""

from peewee import JOIN

from core.csv_cells import write_csv
from core.imports import columns
from core.imports.columns import CONSENT_LABEL, FIELDS
from core.members import consent
from core.members.normalise import CHILD_ITEMS
from i18n import say
from models import AddressState, Child, MailingList, Membership, MembershipState, Person, User

_COLUMNS = (
    "name",
    "kana",
    "relation",
    "child_name",
    "child_kana",
    "grade",
    "class_name",
    "address",
    "phone",
    "household",
    "language",
    "state",
    "class_teacher",
)


def export_csv(mailing_list: MailingList, language: str = "ja") -> bytes:
    """Return the current members as CSV (UTF-8 with BOM, CRLF), one line a membership, by kana."""
    rows = list(
        Membership.select(Membership, Person, Child, User)
        .join(Person)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .switch(Membership)
        .join(User, JOIN.LEFT_OUTER, on=(Membership.class_teacher == User.id))
        .where(Membership.list == mailing_list, Membership.is_member)
        .order_by(Person.kana, Person.id, Membership.id)
    )
    items = _item_names(rows)
    texts = consent.consent_texts_by_id(rows)
    head = (*(say(language, FIELDS[name]) for name in _COLUMNS), *items, say(language, CONSENT_LABEL))
    lines = (
        (
            *_cells(row, language),
            *(_item_value(row, name) for name in items),
            consent.consent_as_line(row, texts, language),
        )
        for row in rows
    )
    return write_csv((head, *lines))


def _item_names(rows: list[Membership]) -> list[str]:
    """Return the names of all custom items, in the order in which they appear."""
    names: dict[str, None] = {}
    for row in rows:
        names |= dict.fromkeys(row.child.attributes if row.child else {})
        names |= dict.fromkeys(row.attributes)
    return list(names)


def _item_value(row: Membership, name: str) -> str:
    of_child = row.child.attributes.get(name, "") if row.child else ""
    own = row.attributes.get(name, "")
    return str(of_child or own) if name.lower() in CHILD_ITEMS else str(own or of_child)


def _cells(row: Membership, language: str) -> tuple[str, ...]:
    person, child = row.person, row.child
    return (
        person.name,
        person.kana,
        row.relation,
        child.name if child else "",
        child.kana if child else "",
        child.grade if child else "",
        child.class_name if child else "",
        person.address or "",
        person.phone,
        child.household if child else person.household,
        person.language,
        say(language, columns.STATE_LABELS[state_key(row)]),
        row.class_teacher.name if row.class_teacher else "",
    )


def state_key(row: Membership) -> str:
    """Return the state of a membership for the file, a key of STATE_LABELS; reasons for missing letters come first."""
    if row.state == MembershipState.STOPPED:
        return "stopped by manager" if row.stopped_by == "manager" else "stopped"
    if row.state in (MembershipState.PENDING, MembershipState.UNCONFIRMED):
        return row.state
    if row.person.address_state in (AddressState.BOUNCED, AddressState.COMPLAINED):
        return row.person.address_state
    return "active" if row.person.address else "no address"
