"""What arrives by mail and where it goes: a table of roads, the gate, and one row for each mail and recipient.

The gate of incoming mail in its order: return paths, machines, loops, automatic answers; only then people. A mail is
read, and its sender proven, outside every transaction; its effect and its row are one transaction, so that the same
bytes to the same recipient change nothing the second time. What fails three times is quarantined and shown.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import config as ground
from core import history, limits, organization
from core.door import bounces, posting, replies, senders, spool
from core.door.filing import Later, Result
from core.door.patience import Patience
from core.door.posting import Post
from core.door.reading import Mail, look
from core.members import unsubscribe_by_mail
from core.organization import Settings, settings
from core.signup import signup
from database import db
from mail import address as addresses
from mail import domains
from mail.proof import Proof, prove
from models import Incoming, Letter, MailingList

log = logging.getLogger("kairan.inbox")

TRIES = 3
SHOWN_FOR = timedelta(days=30)
LOOPS_AN_HOUR = 5
LONGEST_TEXT = 20_000
"""Signs of a mail's text that are kept with its row."""

lookup: domains.Lookup | None = None
"""How TXT records are asked for; None: by the resolver of the settings. Tests put their own here."""


# ── the roads ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Place:
    """One of our addresses: its road, the local part, and of which list or letter; `code` of a joining address.

    `guessed`: taken from To or Cc, since nothing says for whom the mail really came.
    """

    kind: str
    local: str
    list: MailingList | None = None
    letter: int | None = None
    code: str = ""
    guessed: bool = False

    @property
    def marked(self) -> bool:
        """Say whether only somebody who got a letter of ours can know this address."""
        return self.letter is not None


def find(recipient: str) -> Place | None:
    """Return which of our addresses this is; None if there is no such address (it is refused at the door)."""
    force = settings()
    local = force.own.local(recipient)
    if local is None:
        return None
    if not local or addresses.key(recipient.strip("<> ")) == organization.collecting_address(force):
        return Place("mailbox", local)
    for kind, road in _ROADS:
        if (match := road.fullmatch(local)) and (place := _FINDERS[kind](kind, local, match, force)):
            return place
    return None


_ROADS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("return", re.compile(r"b-(\w{24})")),
    ("reply", re.compile(r"r-(\w{24})")),
    ("house", re.compile(r"postmaster|abuse")),
    ("join", re.compile(r"(.+?)-join(?:-(.+))?")),
    ("leave", re.compile(r"(.+)-leave")),
    ("post", re.compile(r"(.+)")),
)


def _letter_place(kind: str, local: str, match: re.Match[str], force: Settings) -> Place | None:
    number = addresses.read_mark(match[1], force.secret)
    return Place(kind, local, letter=number) if number is not None else None


def _list_place(kind: str, local: str, match: re.Match[str], force: Settings) -> Place | None:
    found = MailingList.get_or_none(MailingList.address == match[1], MailingList.closed_at.is_null())
    code = match[2] or "" if kind == "join" else ""
    if found is None or found.practice_of_id or (kind == "join" and not signup.accepts_code(found, code)):
        return None
    return Place(kind, local, list=found, code=code)


_FINDERS: dict[str, Callable[[str, str, re.Match[str], Settings], Place | None]] = {
    "return": _letter_place,
    "reply": _letter_place,
    "house": lambda kind, local, match, force: Place(kind, local),
    "join": _list_place,
    "leave": _list_place,
    "post": _list_place,
}


def _really(place: Place, mail: Mail) -> Place:
    """Return where a mail to the mailbox itself belongs: to the letter that it answers, or to the one address named.

    The mailbox's server did not say for whom it came. To and Cc are only a guess, so what is posted by it is held.
    """
    if place.kind != "mailbox":
        return place
    if mail.about is not None and mail.visitor == "person":
        return Place("reply", place.local, letter=mail.about)
    named = [found for one in sorted(mail.named) if (found := find(one)) and found.kind != "mailbox"]
    return replace(named[0], guessed=True) if len(named) == 1 else place


# ── one mail ─────────────────────────────────────────────────────────────────────────────────────────────────────


def handle(raw: bytes, envelope: str, recipient: str, now: datetime) -> Incoming | None:
    """Do what one mail to one recipient asks for; return its row, None if there is no such address.

    envelope: the sender of the envelope, "" for machines. Raises Later (it waits in its order), and whatever went
    wrong: then it is to be tried again; the third time it is quarantined instead.
    """
    place = find(recipient)
    if place is None:
        return None
    row = _begin(spool.digest(raw), place.local, envelope, now)
    if row.outcome != "failed":
        return row
    if row.attempts > TRIES:
        return _quarantine(row, raw, row.reason or "ended in the middle")
    try:
        return _act(row, place, envelope, raw, now)
    except Later:
        Incoming.update(attempts=Incoming.attempts - 1).where(Incoming.id == row.id).execute()
        raise
    except Exception as fault:  # the mail door: whatever a mail holds, it costs this mail only
        log.error("incoming mail %s failed (%s)", row.id, type(fault).__name__)
        if row.attempts >= TRIES:
            return _quarantine(row, raw, type(fault).__name__)
        Incoming.update(reason=type(fault).__name__).where(Incoming.id == row.id).execute()
        raise


def _begin(digest: str, local: str, envelope: str, now: datetime) -> Incoming:
    """Count this try before anything is read: a mail that kills the process is quarantined too, in the end."""
    with db.atomic():
        row, _ = Incoming.get_or_create(
            digest=digest, recipient=local, defaults={"at": now, "envelope_sender": envelope[:320]}
        )
        if row.outcome == "failed":
            Incoming.update(attempts=Incoming.attempts + 1).where(Incoming.id == row.id).execute()
        return Incoming.get_by_id(row.id)


def _quarantine(row: Incoming, raw: bytes, why: str) -> Incoming:
    fields = {"outcome": "quarantined", "reason": why, "file": spool.keep(raw)}
    if Incoming.update(**fields).where(Incoming.id == row.id, Incoming.outcome == "failed").execute():
        history.log(None, "incoming.quarantined", row.id)
    return Incoming.get_by_id(row.id)


def _act(row: Incoming, place: Place, envelope: str, raw: bytes, now: datetime) -> Incoming:
    """Read, prove, then act and file in one transaction."""
    mail = look(raw, envelope, settings())
    place = _really(place, mail)
    handler = _handler(place, mail)
    proof = _proof(place, mail, handler)
    with limits.taken_back_on_failure(), db.atomic():
        taken = Incoming.update(outcome="done").where(Incoming.id == row.id, Incoming.outcome == "failed").execute()
        if taken:
            _file(row, handler(place, mail, proof, now), mail, raw)
    return Incoming.get_by_id(row.id)


def _file(row: Incoming, result: Result, mail: Mail, raw: bytes) -> None:
    shown = {"text": mail.text[:LONGEST_TEXT]} if result.show else {}
    if result.show or result.kind == "post":
        shown["subject"] = mail.subject[:500]
    Incoming.update(
        kind=result.kind, outcome=result.outcome, reason=result.reason, list=result.list, person=result.person,
        letter=result.letter, notice=result.notice, address=mail.address[:320],
        file=spool.keep(raw) if result.keep else "", files=[list(one) for one in result.files], **shown,
    ).where(Incoming.id == row.id).execute()  # fmt: skip


def _proof(place: Place, mail: Mail, handler: "Handler") -> Proof:
    """Ask the DNS only for mails on which something depends: those of registered senders, and commands."""
    if handler not in _WANT_PROOF or not mail.address:
        return Proof()
    config = ground.current()
    asked = _patience.of_one_mail(lookup or domains.resolver(config.dns), known=senders.is_known(mail.address))
    return prove(mail.raw, addresses.domain(mail.address), asked, config.authserv_id)


_patience = Patience()


# ── the gate ─────────────────────────────────────────────────────────────────────────────────────────────────────

Handler = Callable[[Place, Mail, Proof, datetime], Result]


def _handler(place: Place, mail: Mail) -> Handler:
    """Choose who handles a mail, by the gate in its order: machines first, people last."""
    if place.kind == "return":
        return _report
    return _OTHERS.get(mail.visitor) or _PEOPLE[place.kind]


def _letter(number: int | None) -> Letter | None:
    return Letter.get_or_none(Letter.id == number) if number is not None else None


def _report(place: Place, mail: Mail, proof: Proof, now: datetime) -> Result:
    """A report about a letter: by the return path, else by our Message-ID in what came back."""
    letter = _letter(place.letter) or _letter(mail.about)
    if letter and letter.state == "sending" and letter.handed_at:
        raise Later  # the bounce was faster than our own record of what it is about
    return bounces.take(letter, mail.explained(letter.address if letter else ""), now)


def _loop(place: Place, mail: Mail, proof: Proof, now: datetime) -> Result:
    name = place.list.id if place.list else 0
    if limits.hit(f"loop:{name}", now, 3600) == LOOPS_AN_HOUR:
        history.log(None, "mail.loop_alarm", name or None, kind="list")
    return Result("loop", "dropped", mail.sign, place.list)


def _automatic(place: Place, mail: Mail, proof: Proof, now: datetime) -> Result:
    """An automatic answer is noted at its letter; it is no post, no join, and gets no answer."""
    letter = _letter(place.letter) or _letter(mail.about)
    if letter:
        return bounces.automatic(letter, now)
    return Result("automatic", "dropped", mail.sign, place.list)


def _reply(place: Place, mail: Mail, proof: Proof, now: datetime) -> Result:
    letter = _letter(place.letter)
    if letter is None:
        return Result("reply", "held", "old letter", show=True)
    if sender := senders.of_trial(letter):
        return senders.tried(sender, mail.address, proof, letter, now)
    return replies.take(letter, mail, now)


def _house(place: Place, mail: Mail, proof: Proof, now: datetime) -> Result:
    senders.tell_administrators(settings().own.address(place.local), mail.address, mail.subject, now)
    return Result("house", "held", "", show=True, keep=True)


def _join(place: Place, mail: Mail, proof: Proof, now: datetime) -> Result:
    assert place.list  # noqa: S101
    if not mail.address:
        return Result("join", "dropped", "two senders", place.list, keep=True)
    signs = len(mail.subject.strip()) + len(mail.text.strip())
    if not _names(place, mail):
        proof = Proof(forged=proof.forged)  # a genuine mail to somebody else, sent here by whoever got it
    return signup.handle_join_mail(
        place.list, mail.address, mail.envelope, signs, proof, now, code=place.code,
        message_id=mail.arrival.message_id,
    )  # fmt: skip


def _names(place: Place, mail: Mail) -> bool:
    """Say whether a mail itself names the address to which it came, so that its signature speaks for this place."""
    return addresses.key(settings().own.address(place.local)) in mail.named


def _leave(place: Place, mail: Mail, proof: Proof, now: datetime) -> Result:
    assert place.list  # noqa: S101
    return unsubscribe_by_mail.handle_leave_mail(place.list, mail.address, _letter(mail.about), proof, now)


def _post(place: Place, mail: Mail, proof: Proof, now: datetime) -> Result:
    """A mail to all members: of a registered sender of this list, or of a stranger (T-30)."""
    assert place.list  # noqa: S101
    if not mail.address:
        return Result("post", "dropped", "two senders", place.list, show=True, keep=True)
    sender = senders.find(place.list, mail.address)
    if sender is None:
        return senders.stranger(place.list, mail.address, mail.subject, proof, now)
    if not proof.unsure:
        senders.saw(sender, proof, now)
    named = _names(place, mail) and not place.guessed
    post = Post(mail.address, mail.subject, mail.text, mail.about is not None, named, mail.attachments)
    return posting.take(place.list, sender, post, proof, now)


_OTHERS: dict[str, Handler] = {"machine": _report, "loop": _loop, "automatic": _automatic}
_PEOPLE: dict[str, Handler] = {
    "reply": _reply,
    "house": _house,
    "mailbox": _house,
    "join": _join,
    "leave": _leave,
    "post": _post,
}
_WANT_PROOF: tuple[Handler, ...] = (_post, _join, _leave, _reply)


# ── afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────


def again(row: Incoming, now: datetime) -> bool:
    """Try a quarantined mail once more; say whether it could be handled. It stays in quarantine if not."""
    raw = spool.kept(row.file) if row.outcome == "quarantined" else None
    if raw is None:
        return False
    change = {"outcome": "failed", "attempts": TRIES - 1}
    if not Incoming.update(**change).where(Incoming.id == row.id, Incoming.outcome == "quarantined").execute():
        return False
    done = handle(raw, row.envelope_sender, _address(row.recipient), now)
    return done is not None and done.outcome != "quarantined"


def _address(local: str) -> str:
    own = settings().own
    return own.address(local) if local else own.mailbox


def forget(now: datetime) -> int:
    """Forget words and addresses of mails of more than 30 days ago; replies stay with their notice. Return how many."""
    spool.sweep(now)
    old = (Incoming.at < now - SHOWN_FOR) & (Incoming.kind != "reply") & (Incoming.kind != "post")
    held = (Incoming.text != "") | (Incoming.subject != "") | (Incoming.address != "") | (Incoming.file != "")
    blank = {"text": "", "subject": "", "address": "", "envelope_sender": "", "file": ""}
    return Incoming.update(**blank).where(old & held).execute()
