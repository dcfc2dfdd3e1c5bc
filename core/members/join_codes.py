"""Join codes: one for each list, one for each child in a list, in addresses, links and QR codes (T-26, decision 5).

Codes are compared without case, hyphens and spaces, since people type them from paper. A child's code makes its user a
guardian: it sets name, class and household, in the list that handed it out. A new code invalidates the old one (decision 0019).
"""

import hmac
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from core import audit
from core.settings import load_settings
from database import JOIN_CODE_ALPHABET, JOIN_CODE_LENGTH, bulk_insert, db, new_join_code
from models import Child, ChildCode, MailingList, Membership, User


@dataclass(frozen=True, slots=True)
class ValidCode:
    """A valid code: of the list (`child` None), or of a child in that list."""

    child: Child | None = None

    @property
    def kind(self) -> str:
        return "child" if self.child else "list"


def normalise_code(typed: str) -> str:
    """Return a typed code in its stored form."""
    text = unicodedata.normalize("NFKC", typed[:80]).lower()
    return "".join(sign for sign in text if sign.isalnum())


def format_code(code: str) -> str:
    """Return a code in two halves, easier to read on paper."""
    half = len(code) // 2
    return f"{code[:half]}-{code[half:]}"


def resolve_code(mailing_list: MailingList, typed: str) -> ValidCode | None:
    """Return what a code opens in this list; None if it is not a code of the list or of its children."""
    code = normalise_code(typed)
    if not code:
        return None
    if code == mailing_list.join_code:
        return ValidCode()
    child = next((child for child, known in _codes_in_list(mailing_list) if known == code), None)
    return ValidCode(Child.get_by_id(child)) if child else None


def child_code(mailing_list: MailingList, child: Child) -> str:
    """Return the code on the child's slip of this list. It opens this list alone."""
    renewed = ChildCode.get_or_none(ChildCode.list == mailing_list, ChildCode.child == child)
    return renewed.code if renewed else compute_code(load_settings().secret, mailing_list.id, child.join_code)


def compute_code(secret: bytes, list_id: int, seed: str) -> str:
    """Return the first code of a child in a list: a MAC of the list and the child's seed. It needs no row."""
    number = int.from_bytes(hmac.digest(secret, f"slip {list_id} {seed}".encode(), "sha256"))
    signs = []
    for _ in range(JOIN_CODE_LENGTH):
        number, place = divmod(number, len(JOIN_CODE_ALPHABET))
        signs.append(JOIN_CODE_ALPHABET[place])
    return "".join(signs)


def _codes_in_list(mailing_list: MailingList) -> Iterator[tuple[int, str]]:
    """Yield (child id, code) of the children in a list."""
    renewed = dict(ChildCode.select(ChildCode.child, ChildCode.code).where(ChildCode.list == mailing_list).tuples())
    in_list = (Membership.list == mailing_list) & Membership.is_member
    rows = Child.select(Child.id, Child.join_code).join(Membership).where(in_list).distinct().tuples()
    secret = load_settings().secret
    for number, seed in list(rows):
        yield number, renewed.get(number) or compute_code(secret, mailing_list.id, seed)


def is_child_in_list(child: int, mailing_list: MailingList) -> bool:
    in_list = (Membership.child == child) & (Membership.list == mailing_list) & Membership.is_member
    return Membership.select().where(in_list).exists()


def join_address(mailing_list: MailingList, code: str = "") -> str:
    """Return the address for a blank mail; without a code the plain address of the list."""
    return load_settings().own_addresses.address(f"{mailing_list.address}-join{'-' if code else ''}{code}")


def join_url(mailing_list: MailingList, code: str, base_url: str) -> str:
    """Return the web address of the sign-up page."""
    return f"{base_url}/j/{mailing_list.address}" + (f"/{code}" if code else "")


def join_mailto(mailing_list: MailingList, code: str = "") -> str:
    """Return the mailto: link of a QR code or a button (RFC 6068)."""
    return f"mailto:{join_address(mailing_list, code)}"


# ── new codes ────────────────────────────────────────────────────────────────────────────────────────────────────


def rotate_list_code(mailing_list: MailingList, by: User | None) -> None:
    """Give a list a new code; old hand-outs, links and QR codes become invalid."""
    with db.atomic():
        MailingList.update(join_code=new_join_code()).where(MailingList.id == mailing_list.id).execute()
        audit.log_action(by, "list.code_rotated", mailing_list.id)


def children_in_list(mailing_list: MailingList) -> list[Child]:
    """Return the children of a list once each, by class and reading."""
    ids = Membership.select(Membership.child).where(
        Membership.list == mailing_list, Membership.is_member, Membership.child.is_null(False)
    )
    rows = Child.select().where(Child.id.in_(ids))
    return sorted(
        rows,
        key=lambda child: (
            _numeric_sort_key(child.grade),
            _numeric_sort_key(child.class_name),
            child.kana or child.name,
            child.id,
        ),
    )


def _numeric_sort_key(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (1000 if text else 2000, text)


def rotate_child_codes(mailing_list: MailingList, by: User | None, only: Collection[int] | None = None) -> int:
    """Give children of a list new codes (`only`: some of them); their old slips of this list become invalid."""
    with db.atomic():
        rows = [child for child in children_in_list(mailing_list) if only is None or child.id in only]
        ChildCode.delete().where(
            ChildCode.list == mailing_list, ChildCode.child.in_([row.id for row in rows])
        ).execute()
        bulk_insert(ChildCode, ({"list": mailing_list.id, "child": row.id, "code": new_join_code()} for row in rows))
        if rows:
            audit.log_action(by, "list.slips_rotated", mailing_list.id, detail={"children": len(rows)})
    return len(rows)
