"""Render letters of notices and service letters from database rows.

Mail, check page, author's copy and test letter share this code, so they show the same words.
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
from models import Delivery, Letter, MailingList, Notice, NoticeState, User

REMINDER_SUBJECT = N_("[Sent again] %(subject)s")
PLACEHOLDER_TOKEN = "2" * 26  # in previews, instead of a delivery's token; it opens no page


@dataclass(frozen=True, slots=True)
class RenderedLetter:
    """A letter as one reader sees it. `html` is empty for a text-only letter (decision 10)."""

    to_name: str
    subject: str
    text: str
    html: str = ""


def notice_form(
    notice: Notice,
    list_: MailingList | None,
    language: str,
    settings: Settings,
    sender_name: str = "",
    is_reminder: bool = False,
) -> LetterTemplate:
    """Return what the letters of a notice share that have the same list, language and sender name (decisions 4, 10).

    is_reminder: mark the subject as sent again.
    """
    wording = notice.wording
    local, is_direct = list_.address if list_ else "postmaster", notice.kind == "individual"
    return LetterTemplate(
        language=language,
        subject=reminder_subject(wording.subject, language) if is_reminder else wording.subject,
        text=wording.text,
        html=(html := html_body.html_of(wording)),
        inline_images=html_body.encoded_images(html, settings.mail_domain),
        organization=settings.name,
        contact=settings.contact,
        postal=settings.postal,
        from_name=from_display_name(settings.name, sender_name or notice.signed, language),
        from_address=settings.own_addresses.sender(local),
        reply_base=reply_to_pattern(settings),
        mail_domain=settings.mail_domain,
        base_url=settings.base_url,
        secret=settings.secret,
        list_name=list_.name if list_ and not is_direct else "",
        list_id=f"{local}.{settings.mail_domain}" if list_ and not is_direct else "",
        personal=is_direct,
        leave_address=settings.own_addresses.address(f"{local}-leave")
        if list_ and settings.accepts_inbound and settings.own_addresses.has_list_addresses
        else "",
        read_confirmation=notice.read_confirmation,
        questions=questions.letter_questions(notice, language),
        files=_file_lines(notice),
        open_tracking=notice.tracking.opens,
        tracked_urls=tracking_options.tracked_urls(notice),
        attachments=attachments.encoded_files(notice, clock.now()),
        footer=notice.footer,
        reply_to=notice.reply_address,
        urgent=notice.urgent,
    )


def reminder_subject(subject: str, language: str) -> str:
    """Mark a subject with 【再送】, once for any number of reminders (field 2.3)."""
    marks = [i18n.say(name, REMINDER_SUBJECT, subject="") for name in i18n.LANGUAGES]
    if subject.startswith(tuple(marks)):
        return subject
    return i18n.say(language, REMINDER_SUBJECT, subject=subject)


def reply_to_pattern(settings: Settings) -> str:
    """Return the reply address with a placeholder for the letter's VERP tag."""
    return settings.own_addresses.address(f"r-{VERP_TAG_PLACEHOLDER}")


def from_display_name(organization: str, sender: str, language: str) -> str:
    """Return the display name of From: the organization and the sender (D-03, D-07)."""
    if not sender:
        return organization
    return f"{organization}（{sender}）" if language == "ja" else f"{organization} ({sender})"


def _file_lines(notice: Notice) -> tuple[str, ...]:
    files = attachments.files_for_readers(notice, clock.now())
    return tuple(f"{file.name} ({attachments.format_bytes(file.size)})" for file in files)


def service_form(letter: QueuedMessage | Letter, settings: Settings) -> LetterTemplate:
    """Return the template of a service letter: from the organization, without a list, marked as automatic."""
    subject, text = render_message(letter, settings.name)
    page = letter.payload.get("page", "")
    return LetterTemplate(
        language=letter.language,
        subject=subject,
        text=text,
        copied_page=page,
        inline_images=html_body.encoded_images(page, settings.mail_domain),
        organization=settings.name,
        contact=settings.contact,
        postal=settings.postal,
        from_name=settings.name or "Kairan",
        from_address=settings.own_addresses.sender("postmaster"),
        reply_base=reply_to_pattern(settings),
        mail_domain=settings.mail_domain,
        base_url=settings.base_url,
        secret=settings.secret,
        footer=KINDS[letter.kind].footer,
        attachments=_attached_copy(letter),
        automatic=True,
    )


def _attached_copy(letter: QueuedMessage | Letter) -> bytes:
    """Return the attachments enclosed in an author's copy or test letter (X-01)."""
    number = letter.payload.get("notice", "")
    has_files = KINDS[letter.kind].files and number.isdecimal()
    return attachments.encoded_files_for_copy(int(number), clock.now()) if has_files else b""


def build_reader(letter: QueuedMessage, bare: bool, now: datetime) -> LetterRecipient:
    """Return what differs from letter to letter. bare: do not quote an address that violates the RFC."""
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
    """Return the child of a letter whose reader gets letters about siblings too."""
    return {"child": given_name(name), "about": sibling_note(language, name, room)} if siblings else {}


def preview_letter(notice: Notice, recipient: Recipient, settings: Settings, now: datetime) -> RenderedLetter:
    """Return the letter as this recipient gets it, except for the token in its links."""
    list_ = MailingList.get_or_none(MailingList.id == recipient.list_id)
    form = notice_form(notice, list_, recipient.language, settings, recipient.signed)
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
    return _render_preview(form, reader)


class RenderCache:
    """Renderers shared by the letters of a notice. Discard the cache when the settings change."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._renderers: dict[tuple[int, int, str, str, bool], LetterRenderer] = {}
        self._notices: dict[int, Notice] = {}

    def evict_notices_with_files(self) -> None:
        """Evict notices with enclosed attachments: one of these may have been withdrawn."""
        kept = {number for number, notice in self._notices.items() if not notice.files_inside}
        self._notices = {number: self._notices[number] for number in kept}
        self._renderers = {key: renderer for key, renderer in self._renderers.items() if key[0] in kept}

    def render(self, letter: QueuedMessage | Letter, bare: bool, now: datetime) -> bytes:
        """Return the bytes of one letter before signing. Raises BadAddress."""
        letter = load_message(letter) if isinstance(letter, Letter) else letter
        return self._renderer_of(letter).letter(build_reader(letter, bare, now))

    def _renderer_of(self, letter: QueuedMessage) -> LetterRenderer:
        if letter.notice_id is None or letter.reader_language is None:
            return LetterRenderer(service_form(letter, self.settings))
        key = (
            letter.notice_id,
            letter.list_id or 0,
            letter.reader_language,
            letter.sender_name or "",
            letter.round > 1,
        )
        if key not in self._renderers:
            notice = self._notices.get(letter.notice_id) or Notice.get_by_id(letter.notice_id)
            self._notices[letter.notice_id] = notice
            list_ = MailingList.get_or_none(MailingList.id == letter.list_id)
            self._renderers[key] = LetterRenderer(notice_form(notice, list_, key[2], self.settings, key[3], key[4]))
        return self._renderers[key]


def render_as_sent(notice: Notice, settings: Settings, now: datetime) -> RenderedLetter:
    """Return subject and text as sent (T-41), with placeholders for the values that differ by reader."""
    delivery = Delivery.select().where(Delivery.notice == notice, Delivery.reason == "").order_by(Delivery.id).first()
    list_ = delivery.list if delivery else None
    values = merge_fields.shared_values(
        merge_fields.names_in_notice(notice), notice, settings, notice.started_at or now
    )
    reader = LetterRecipient(
        number=0, address="a@example.com", bare=False, name="", token=PLACEHOLDER_TOKEN, values=values, at=now
    )
    return _render_preview(notice_form(notice, list_, settings.language, settings), reader)


def _render_preview(form: LetterTemplate, reader: LetterRecipient) -> RenderedLetter:
    renderer = LetterRenderer(form)
    return RenderedLetter(reader.name, renderer.subject(reader), renderer.text(reader), renderer.html(reader))


def render_author_copy(
    notice: Notice, by: User, settings: Settings, now: datetime, like: Recipient | None = None
) -> RenderedLetter:
    """Return the notice as its author would get it, for the author's copy and the test letter.

    like: the recipient whose merge field values it shows; None: placeholders such as 〔児童氏名〕.
    """
    if notice.state == NoticeState.DRAFT:
        notice = as_sent_by(notice, by)
    values = (
        like.values if like else merge_fields.shared_values(merge_fields.names_in_notice(notice), notice, settings, now)
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
    return _render_preview(notice_form(notice, _author_copy_list(notice, like), by.language, settings), reader)


def _author_copy_list(notice: Notice, like: Recipient | None) -> MailingList | None:
    """Return the list whose footer a copy shows: that of `like`, or the first list of the notice."""
    if like:
        return MailingList.get_or_none(MailingList.id == like.list_id)
    return next(iter(target_lists(notice)), None)


def sibling_note(language: str, name: str, room: str) -> str:
    """Return the note above a letter about one of several siblings."""
    if room:
        return i18n.say(language, _WITH_ROOM, name=name, room=room)
    return i18n.say(language, _WITHOUT_ROOM, name=name)


_WITH_ROOM = N_("This letter is about %(name)s (%(room)s). Brothers and sisters have a letter of their own.")
_WITHOUT_ROOM = N_("This letter is about %(name)s. Brothers and sisters have a letter of their own.")


def subject_with_child(language: str, subject: str, name: str) -> str:
    """Append the given name of the child to a subject."""
    return i18n.say(language, N_("%(subject)s (%(child)s)"), subject=subject, child=given_name(name))
