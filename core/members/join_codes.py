"""Join codes: one for each list, one for each child; they stand in addresses, links and QR codes (T-26, decision 5).

A code is compared without case, hyphens and spaces, as people type it from paper. Who holds a child's code is taken
for a guardian: it settles name, class and household. A new code makes the old one useless at once (decision 0019).
"""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from core import audit
from core.settings import load_settings
from database import db, new_join_code
from models import Child, MailingList, Membership, User


@dataclass(frozen=True, slots=True)
class ValidCode:
    """A valid code: of the list (`child` None), or of a child in that list."""

    child: Child | None = None

    @property
    def kind(self) -> str:
        return "child" if self.child else "list"


def normalise_code(typed: str) -> str:
    """Return a code as it is kept, from what somebody typed or an address held."""
    text = unicodedata.normalize("NFKC", typed[:80]).lower()
    return "".join(sign for sign in text if sign.isalnum())


def format_code(code: str) -> str:
    """Return a code in two halves, to be read from paper."""
    half = len(code) // 2
    return f"{code[:half]}-{code[half:]}"


def resolve_code(mailing_list: MailingList, typed: str) -> ValidCode | None:
    """Return what a code opens in this list; None if it is no code of the list or of a child in it."""
    code = normalise_code(typed)
    if not code:
        return None
    if code == mailing_list.join_code:
        return ValidCode()
    child = Child.get_or_none(Child.join_code == code)
    return ValidCode(child) if child and is_child_in_list(child.id, mailing_list) else None


def is_child_in_list(child: int, mailing_list: MailingList) -> bool:
    """Say whether a child has a place in a list."""
    here = (Membership.child == child) & (Membership.list == mailing_list) & Membership.is_member
    return Membership.select().where(here).exists()


def join_address(mailing_list: MailingList, code: str = "") -> str:
    """Return the address for a blank mail; without a code the list's plain one."""
    return load_settings().own.address(f"{mailing_list.address}-join{'-' if code else ''}{code}")


def join_url(mailing_list: MailingList, code: str, base_url: str) -> str:
    """Return the address of the page for joining."""
    return f"{base_url}/j/{mailing_list.address}" + (f"/{code}" if code else "")


def join_mailto(mailing_list: MailingList, code: str = "") -> str:
    """Return what a QR code or a button holds to open an empty mail (RFC 6068)."""
    return f"mailto:{join_address(mailing_list, code)}"


# ── new codes ────────────────────────────────────────────────────────────────────────────────────────────────────


def rotate_list_code(mailing_list: MailingList, by: User | None) -> None:
    """Give a list a new code: hand-outs with the old one, and links and QR codes on them, open nothing any more."""
    with db.atomic():
        MailingList.update(join_code=new_join_code()).where(MailingList.id == mailing_list.id).execute()
        audit.log_action(by, "list.code_rotated", mailing_list.id)


def children_in_list(mailing_list: MailingList) -> list[Child]:
    """Return the children of a list by class and reading, each once."""
    here = Membership.select(Membership.child).where(
        Membership.list == mailing_list, Membership.is_member, Membership.child.is_null(False)
    )
    rows = Child.select().where(Child.id.in_(here))
    return sorted(
        rows,
        key=lambda one: (_numeric_sort_key(one.grade), _numeric_sort_key(one.class_name), one.kana or one.name, one.id),
    )


def _numeric_sort_key(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (1000 if text else 2000, text)


def rotate_child_codes(mailing_list: MailingList, by: User | None, only: Collection[int] | None = None) -> int:
    """Give children of a list new codes (`only` some of them): their old slips open nothing, in any list."""
    with db.atomic():
        rows = [one for one in children_in_list(mailing_list) if only is None or one.id in only]
        for row in rows:
            row.join_code = new_join_code()
        Child.bulk_update(rows, [Child.join_code], batch_size=500)
        if rows:
            audit.log_action(by, "list.slips_rotated", mailing_list.id, detail={"children": len(rows)})
    return len(rows)
