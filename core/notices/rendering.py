"""From rows to the words of a letter: the form of a notice or service letter, and its readers.

The same words serve the mail, the check page and the test letter, so that none shows what another does not.
"""

from dataclasses import dataclass
from datetime import datetime

import clock
import i18n
from core.delivery.queue import QueuedMessage, load_message
from core.display_names import given_name
from core.notices import attachments, html_body, merge_fields, questions, tracking_options
from core.notices.audience import Recipient, as_sent_by
from core.notifications.kinds import KINDS
from core.notifications.notify import render_message
from core.permissions import target_lists
from core.settings import Settings
from i18n import N_
from mail.compose import VERP_TAG_PLACEHOLDER, LetterRecipient, LetterRenderer, LetterTemplate
from models import Delivery, Letter, MailingList, Notice, User

REMINDER_SUBJECT = N_("[Sent again] %(subject)s")
PLACEHOLDER_TOKEN = "2" * 26  # opens nothing; stands where a reader's own token will


@dataclass(frozen=True, slots=True)
class RenderedLetter:
    """A letter as one reader will see it; `html` only where it has buttons (decision 10)."""

    to_name: str
    subject: str
    text: str
    html: str = ""


def notice_form(
    notice: Notice,
    list_: MailingList | None,
    language: str,
    force: Settings,
    sender_name: str = "",
    again: bool = False,
) -> LetterTemplate:
    """Return what all letters of a notice to one list in one language and one sender's name share (decisions 4, 10).

    again: a reminder, whose subject says so once; all else is as it was.
    """
    wording = notice.wording
    local, alone = list_.address if list_ else "postmaster", notice.kind == "individual"
    return LetterTemplate(
        language=language,
        subject=reminder_subject(wording.subject, language) if again else wording.subject,
        text=wording.text,
        html=(html := html_body.html_of(wording)),
        pictured=html_body.encoded_images(html, force.mail_domain),
        organization=force.name,
        contact=force.contact,
        postal=force.postal,
        from_name=from_display_name(force.name, sender_name or notice.signed, language),
        from_address=force.own.sender(local),
        reply_base=reply_to_pattern(force),
        mail_domain=force.mail_domain,
        base_url=force.base_url,
        secret=force.secret,
        list_name=list_.name if list_ and not alone else "",
        list_id=f"{local}.{force.mail_domain}" if list_ and not alone else "",
        personal=alone,
        leave_address=force.own.address(f"{local}-leave")
        if list_ and force.accepts_inbound and force.own.has_list_addresses
        else "",
        read_confirmation=notice.read_confirmation,
        asks=questions.letter_questions(notice, language),
        files=_file_lines(notice),
        image=notice.tracking.opens,
        counted=tracking_options.tracked_urls(notice),
        enclosed=attachments.encoded_files(notice, clock.now()),
        footer=notice.footer,
        reply_to=notice.reply_address,
        urgent=notice.urgent,
    )


def reminder_subject(subject: str, language: str) -> str:
    """Return the subject of a reminder, marked 【再送】 once however often it is sent (field 2.3)."""
    marks = [i18n.say(one, REMINDER_SUBJECT, subject="") for one in i18n.LANGUAGES]
    if subject.startswith(tuple(marks)):
        return subject
    return i18n.say(language, REMINDER_SUBJECT, subject=subject)


def reply_to_pattern(force: Settings) -> str:
    """Return the address of replies with a place for the letter's mark; the plain mailbox where there is no other."""
    return force.own.address(f"r-{VERP_TAG_PLACEHOLDER}")


def from_display_name(organization: str, sender: str, language: str) -> str:
    """Return the display name of From: the organization, and who writes for it (D-03, D-07)."""
    if not sender:
        return organization
    return f"{organization}（{sender}）" if language == "ja" else f"{organization} ({sender})"


def _file_lines(notice: Notice) -> tuple[str, ...]:
    """Return the files of a notice as lines of its letters."""
    return tuple(
        f"{one.name} ({attachments.format_bytes(one.size)})"
        for one in attachments.files_for_readers(notice, clock.now())
    )


def service_form(letter: QueuedMessage | Letter, force: Settings) -> LetterTemplate:
    """Return the form of a service letter: from the organization, no list, marked as automatic."""
    subject, text = render_message(letter, force.name)
    page = letter.payload.get("page", "")
    return LetterTemplate(
        language=letter.language,
        subject=subject,
        text=text,
        page=page,
        pictured=html_body.encoded_images(page, force.mail_domain),
        organization=force.name,
        contact=force.contact,
        postal=force.postal,
        from_name=force.name or "Kairan",
        from_address=force.own.sender("postmaster"),
        reply_base=reply_to_pattern(force),
        mail_domain=force.mail_domain,
        base_url=force.base_url,
        secret=force.secret,
        footer=KINDS[letter.kind].footer,
        enclosed=_attached_copy(letter),
        automatic=True,
    )


def _attached_copy(letter: QueuedMessage | Letter) -> bytes:
    """Return the files that an organizer's copy of a notice shows as they go out (X-01)."""
    number = letter.payload.get("notice", "")
    shows = KINDS[letter.kind].files and number.isdecimal()
    return attachments.encoded_files_for_copy(int(number), clock.now()) if shows else b""


def build_reader(letter: QueuedMessage, bare: bool, now: datetime) -> LetterRecipient:
    """Return what differs in this one letter. bare: the server wants an RFC-violating address unquoted."""
    return LetterRecipient(
        number=letter.id,
        address=letter.address,
        bare=bare,
        name=letter.payload.get("to_name", "") if letter.name is None else letter.name,
        token=letter.token or PLACEHOLDER_TOKEN,
        values=letter.values or {},
        at=now,
        **_child_fields(
            letter.siblings, letter.reader_language or "", letter.child_name or "", letter.child_room or ""
        ),
    )


def _child_fields(siblings: bool | None, language: str, name: str, room: str) -> dict[str, str]:
    """Return what a letter that has sisters says of its child."""
    return {"child": given_name(name), "about": sibling_note(language, name, room)} if siblings else {}


def preview_letter(notice: Notice, recipient: Recipient, force: Settings, now: datetime) -> RenderedLetter:
    """Return the letter exactly as this reader will get it, but for the token in its links."""
    list_ = MailingList.get_or_none(MailingList.id == recipient.list_id)
    made = LetterRenderer(notice_form(notice, list_, recipient.language, force, recipient.signed))
    reader = LetterRecipient(
        number=0,
        address=recipient.address or "a@example.com",
        bare=False,
        name=recipient.name,
        token=PLACEHOLDER_TOKEN,
        values=recipient.values,
        at=now,
        **_child_fields(recipient.siblings, recipient.language, recipient.child_name, recipient.child_room),
    )
    return RenderedLetter(recipient.name, made.subject(reader), made.text(reader), made.html(reader))


class RenderCache:
    """Forms prepared once for all letters that share them; emptied when a batch of settings ends."""

    def __init__(self, force: Settings) -> None:
        self.force = force
        self._prepared: dict[tuple[int, int, str, str, bool], LetterRenderer] = {}
        self._notices: dict[int, Notice] = {}

    def evict_notices_with_files(self) -> None:
        """Forget notices with files inside their letters: one of these may have been withdrawn."""
        fresh = {number for number, one in self._notices.items() if not one.files_inside}
        self._notices = {number: self._notices[number] for number in fresh}
        self._prepared = {key: made for key, made in self._prepared.items() if key[0] in fresh}

    def render(self, letter: QueuedMessage | Letter, bare: bool, now: datetime) -> bytes:
        """Return the bytes of one letter, ready to be signed. Raises BadAddress."""
        letter = load_message(letter) if isinstance(letter, Letter) else letter
        return self._prepared_form(letter).letter(build_reader(letter, bare, now))

    def _prepared_form(self, letter: QueuedMessage) -> LetterRenderer:
        if letter.notice_id is None or letter.reader_language is None:
            return LetterRenderer(service_form(letter, self.force))
        key = (
            letter.notice_id,
            letter.list_id or 0,
            letter.reader_language,
            letter.sender_name or "",
            letter.round > 1,
        )
        if key not in self._prepared:
            notice = self._notices.get(letter.notice_id) or Notice.get_by_id(letter.notice_id)
            self._notices[letter.notice_id] = notice
            list_ = MailingList.get_or_none(MailingList.id == letter.list_id)
            self._prepared[key] = LetterRenderer(notice_form(notice, list_, key[2], self.force, key[3], key[4]))
        return self._prepared[key]


def render_as_sent(notice: Notice, force: Settings, now: datetime) -> RenderedLetter:
    """Return subject and full text as sent (T-41), with the sample token and placeholders instead of a reader's."""
    delivery = Delivery.select().where(Delivery.notice == notice, Delivery.reason == "").order_by(Delivery.id).first()
    list_ = delivery.list if delivery else None
    values = merge_fields.shared_values(merge_fields.names_in_notice(notice), notice, force, notice.started_at or now)
    reader = LetterRecipient(
        number=0, address="a@example.com", bare=False, name="", token=PLACEHOLDER_TOKEN, values=values, at=now
    )
    return _render_preview(notice_form(notice, list_, force.language, force), reader)


def _render_preview(form: LetterTemplate, reader: LetterRecipient) -> RenderedLetter:
    """Return a letter for a page or a copy, with its HTML where families get one."""
    made = LetterRenderer(form)
    return RenderedLetter(reader.name, made.subject(reader), made.text(reader), made.html(reader))


def render_author_copy(
    notice: Notice, by: User, force: Settings, now: datetime, like: Recipient | None = None
) -> RenderedLetter:
    """Return the notice as its writer would get it, for the own copy and the test letter.

    like: the reader whose merge fields it shows; without one 〔児童氏名〕 stands where each reader's own value will.
    """
    if notice.state == "draft":
        notice = as_sent_by(notice, by)
    values = (
        like.values if like else merge_fields.shared_values(merge_fields.names_in_notice(notice), notice, force, now)
    )
    reader = LetterRecipient(
        number=0,
        address=by.email or "a@example.com",
        bare=False,
        name=by.name,
        token=PLACEHOLDER_TOKEN,
        values=values,
        at=now,
    )
    return _render_preview(notice_form(notice, _author_copy_list(notice, like), by.language, force), reader)


def _author_copy_list(notice: Notice, like: Recipient | None) -> MailingList | None:
    """Return the list whose footer a copy shows: the reader's, else the first that the notice goes to."""
    if like:
        return MailingList.get_or_none(MailingList.id == like.list_id)
    return next(iter(target_lists(notice)), None)


def format_moment(language: str, moment: datetime) -> str:
    """Return a moment in words, in the language of a letter."""
    return i18n.format_datetime(language, moment)


def sibling_note(language: str, name: str, room: str) -> str:
    """Return the sentence above a letter that has sisters: whose it is, and that the others come by themselves."""
    if room:
        return i18n.say(language, _WITH_ROOM, name=name, room=room)
    return i18n.say(language, _WITHOUT_ROOM, name=name)


_WITH_ROOM = N_("This letter is about %(name)s (%(room)s). Brothers and sisters have a letter of their own.")
_WITHOUT_ROOM = N_("This letter is about %(name)s. Brothers and sisters have a letter of their own.")


def subject_with_child(language: str, subject: str, name: str) -> str:
    """Return a subject that ends with the given name of the child whom the letter is about."""
    return i18n.say(language, N_("%(subject)s (%(child)s)"), subject=subject, child=given_name(name))
