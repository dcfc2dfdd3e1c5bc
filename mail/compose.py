"""Compose letters: parts shared by all recipients of a notice are built once, the rest per letter.

RFC 5322 (message), 2045/2046 (MIME), 2047 (encoded words), 2919 (List-Id), 2369 (List-Post, List-Unsubscribe), 8058
(one-click), 3834 (Auto-Submitted). Order of the text (T-43, T-49, D-26): the organizer's text, the read confirmation,
the questions, the footer. Each URL is alone on its line, with its label on the line before. Phones make everything up
to the next space part of a link.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from i18n import say
from mail import address, merge, mime_encoding
from mail.html import render_html


@dataclass(frozen=True, slots=True)
class LetterQuestion:
    """A question in a letter. choices: number (as in the URL) and text.

    until: the deadline as text, "" for none. days: of a date poll, each with the number that answers yes; one page
    takes all of them. who: who answers once, "" for every household.
    """

    title: str
    until: str
    choices: tuple[tuple[int, str], ...]
    days: tuple[tuple[int, str], ...] = ()
    who: str = ""


def text_lines(language: str, question: LetterQuestion, page: str) -> Iterator[str]:
    """Yield a question, how to answer it, and each choice with its own URL (T-49)."""
    yield say(language, "[Question] %(question)s", question=merge.one_line(question.title))
    yield from _how_to_answer(language, question)
    yield ""
    point = "・" if language == "ja" else "- "
    for number, day in question.days:
        yield f"{point}{merge.one_line(day)}"
        yield f"{page}/{number}"
    if question.days:
        yield say(language, "All days on one page:")
        yield page
        return
    for number, text in question.choices:
        yield f"{number}. {merge.one_line(text)}"
        yield f"{page}/{number}"


def _how_to_answer(language: str, question: LetterQuestion) -> Iterator[str]:
    if question.days:
        yield say(
            language,
            "Open the link of a day that suits you, choose for the other days there too, and press the button.",
        )
    else:
        yield say(language, "Open the link that is right, and press the button there.")
    yield from answer_terms(language, question)


def answer_terms(language: str, question: LetterQuestion) -> Iterator[str]:
    """Yield who answers, if not every household, and the deadline."""
    if question.who:
        yield question.who
    if question.until:
        yield say(language, "Until %(day)s; you can change your answer until then.", day=question.until)


def answer_buttons(language: str, question: LetterQuestion, page: str) -> Iterator[tuple[str, str]]:
    """Yield the choices as buttons: text and URL."""
    for number, text in question.days or question.choices:
        yield merge.one_line(text), f"{page}/{number}"
    if question.days:
        yield say(language, "All days on one page"), page


# ── letters ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_SEPARATOR = "─" * 16
_TOKEN = render_html.TOKEN_PLACEHOLDER
VERP_TAG_PLACEHOLDER = "{verp_tag}"
"""Placeholder for the VERP tag in `reply_base`."""
_JAPAN = timezone(timedelta(hours=9))  # Asia/Tokyo has no summer time (RFC 5322 3.3 wants the offset alone)
_IN_HEADER = re.compile(r"[!-~]+")
_TO_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class LetterTemplate:
    """What all letters of one notice in one list and language share; or one service letter.

    subject, text: may hold `{{fields}}`. html: the same text decorated (`mail.html.sanitizer`). inline_images: as
    `mime_encoding.inline_image_parts` returns them. copied_page: HTML of another letter, shown below this text.
    from_name: display name. from_address: the list's address, `postmaster@` for service letters. base_url: without
    trailing slash. secret: for VERP tags. list_name, list_id: "" for service letters, which have no List headers and
    no unsubscribe link. leave_address: the list's `-leave` address beside one-click, "" for none. reply_to: a user's
    own address; None: the letter's `r-` address, built from `reply_base` with VERP_TAG_PLACEHOLDER ("": at the mail
    domain). automatic: sent without a person's action (RFC 3834). questions: any question adds an HTML part
    (decision 10). open_tracking: the HTML part holds an image that counts openings; tracked_urls: there these URLs
    lead by our counter (D-31). files: names and sizes of the files on the notice's page. attachments: the same files,
    as `mime_encoding.attachment_parts` returns them. personal: sent to one person only.
    """

    language: str
    subject: str
    text: str
    organization: str
    contact: str
    postal: str
    from_name: str
    from_address: str
    mail_domain: str
    base_url: str
    secret: bytes
    list_name: str = ""
    list_id: str = ""
    leave_address: str = ""
    read_confirmation: bool = False
    questions: tuple[LetterQuestion, ...] = ()
    files: tuple[str, ...] = ()
    personal: bool = False
    html: str = ""
    copied_page: str = field(default="", repr=False)
    inline_images: bytes = field(default=b"", repr=False)
    attachments: bytes = field(default=b"", repr=False)
    open_tracking: bool = False
    tracked_urls: tuple[str, ...] = ()
    footer: bool = True
    reply_to: str | None = None
    reply_base: str = ""
    urgent: bool = False
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class LetterRecipient:
    """What differs per letter.

    number: of the letter, below 2**40. address: as `address.parse_address` returns it. bare: the mail server wants a
    local part that breaks RFC 5322 unquoted. token: of the delivery, for URLs. values: every known field, "" without
    value; other names stay as written. child: given name for the end of the subject, if the reader gets a letter per
    child; about: the sentence above the text that says so. at: for the Date header, aware UTC.
    """

    number: int
    address: str
    bare: bool
    name: str
    token: str
    values: Mapping[str, str]
    child: str = ""
    about: str = ""
    at: datetime = field(kw_only=True)


class LetterRenderer:
    """The letters of one template: `letter` returns the bytes, `subject` and `text` the words for a page."""

    def __init__(self, form: LetterTemplate) -> None:
        """Build everything that all letters share. Raises ValueError if a header value holds a line break."""
        self._form = form
        self._zone: tzinfo = _JAPAN if form.language == "ja" else UTC
        self._subject = merge.split_fields(merge.one_line(form.subject))
        self._fixed_subject = _fixed_subject(self._subject)
        self._start, self._text = _split_fixed_start(
            merge.split_fields(merge.clean_text(form.text).rstrip("\n") + "\n")
        )
        self._opening = mime_encoding.encode_shared_start(self._start)
        self._tail = _text_below_body(form).split(_TOKEN)
        self._from = _from(form)
        self._list = _list_headers(form).split(_TOKEN)
        self._rest = _fixed_headers(form)
        self._html = _html_page(form)
        self._reply_base = _checked_header_value(form.reply_base or f"r-{VERP_TAG_PLACEHOLDER}@{form.mail_domain}")

    def letter(self, reader: LetterRecipient) -> bytes:
        """Return the message with CRLF line ends, ready to be signed. Raises BadAddress."""
        text = (
            mime_encoding.encode_body(self.text(reader))
            if reader.about
            else mime_encoding.encode_body(self._after_start(reader), self._opening)
        )
        kind = mime_encoding.PLAIN_HEADERS if self._html is None else mime_encoding.ALTERNATIVE_HEADERS
        body = text if self._html is None else mime_encoding.alternative_body(text, *self._html_part(reader))
        if self._form.attachments:
            kind, body = mime_encoding.MIXED_HEADERS, mime_encoding.mixed_body(kind, body, self._form.attachments)
        return f"{self._head(reader)}{kind}\r\n".encode("ascii") + body

    def _html_part(self, reader: LetterRecipient) -> tuple[bytes, str]:
        """Return the HTML part and its headers; with inline images it is a multipart/related."""
        html = mime_encoding.encode_body(self.html(reader))
        behind = self._form.inline_images
        return (
            (mime_encoding.related_body(html, behind), mime_encoding.RELATED_HEADERS)
            if behind
            else (html, mime_encoding.HTML_HEADERS)
        )

    def html(self, reader: LetterRecipient) -> str:
        """Return the HTML part; "" for a plain text letter (decision 10)."""
        values = {name: merge.clean_text(value) for name, value in reader.values.items()}
        return self._html.render(values, _token(reader), merge.one_line(reader.about)) if self._html else ""

    def subject(self, reader: LetterRecipient) -> str:
        """Return the reader's subject, on one line."""
        filled = merge.one_line(_fill_pieces(self._subject, reader.values))
        if not reader.child:
            return filled
        child = merge.one_line(reader.child)
        return say(self._form.language, "%(subject)s (%(child)s)", subject=filled, child=child)

    def text(self, reader: LetterRecipient) -> str:
        """Return the reader's text with read confirmation and footer; lines end with \\n."""
        about = f"{merge.one_line(reader.about)}\n\n" if reader.about else ""
        return about + self._start + self._after_start(reader)

    def _after_start(self, reader: LetterRecipient) -> str:
        return _fill_pieces(self._text, reader.values) + _token(reader).join(self._tail)

    def _head(self, reader: LetterRecipient) -> str:
        form = self._form
        reply_to = self._reply_to(address.make_verp_tag(reader.number, "reply", form.secret))
        return_tag = address.make_verp_tag(reader.number, "return", form.secret)
        return (
            f"{self._from}\r\n"
            f"To: {mime_encoding.encode_mailbox(merge.one_line(reader.name), _to_address(reader), 4)}\r\n"
            f"Reply-To: {reply_to}\r\n"
            f"{self._subject_header(reader)}\r\n"
            f"Date: {_date(reader.at.replace(microsecond=0), self._zone)}\r\n"
            f"Message-ID: {address.message_id(reader.number, form.secret, form.mail_domain)}\r\n"
            f"{address.RETURN_TAG_HEADER}: {return_tag}\r\n"
            f"{_token(reader).join(self._list)}"
            f"{self._rest}"
        )

    def _subject_header(self, reader: LetterRecipient) -> str:
        if self._fixed_subject and not reader.child:
            return self._fixed_subject
        return mime_encoding.encode_header("Subject", self.subject(reader))

    def _reply_to(self, verp_tag: str) -> str:
        own = self._form.reply_to
        return address.quote_if_needed(own) if own else self._reply_base.replace(VERP_TAG_PLACEHOLDER, verp_tag)


def _html_page(form: LetterTemplate) -> render_html.HtmlPage | render_html.HtmlCopy | None:
    """Build the HTML part; None for plain text (decision 10)."""
    if form.copied_page:
        return render_html.HtmlCopy(form.text.partition(_SEPARATOR)[0], form.copied_page)
    if not (form.questions or form.open_tracking or form.tracked_urls or form.html):
        return None
    ways = {}
    for number, url in enumerate(form.tracked_urls, 1):
        shown = say(form.language, "Open link %(number)s", number=number)
        if len(form.tracked_urls) == 1:
            shown = say(form.language, "Open the link")
        ways[url] = render_html.CountedLink(f"{form.base_url}/c/{_TOKEN}/{number}", shown)
    image = f"{form.base_url}/o/{_TOKEN}.gif" if form.open_tracking else ""
    decorated = render_html.RichBody(form.html, form.mail_domain) if form.html else None
    return render_html.HtmlPage(form.language, form.text, _html_sections(form), ways, image, decorated)


def _fixed_subject(cut: list[merge.TextPiece]) -> str:
    """Return the Subject header if it has no fields, else ""."""
    if any(piece.field for piece in cut):
        return ""
    return mime_encoding.encode_header("Subject", "".join(piece.text for piece in cut))


def _split_fixed_start(cut: list[merge.TextPiece]) -> tuple[str, list[merge.TextPiece]]:
    """Split off the beginning without fields, which all readers share."""
    return ("", cut) if cut[0].field else (cut[0].text, cut[1:])


def _fill_pieces(cut: list[merge.TextPiece], values: Mapping[str, str]) -> str:
    """Fill the fields with cleaned values."""
    asked = {name: merge.clean_text(values[name]) for _, name in cut if name and name in values}
    return merge.join_pieces(cut, asked, asked)


def _token(reader: LetterRecipient) -> str:
    if not (reader.token.isascii() and reader.token.isalnum()):
        raise ValueError(f"letter {reader.number}: its token cannot stand in a web address")
    return reader.token


def _to_address(reader: LetterRecipient) -> str:
    """Return the To address; raise for one that `parse_address` cannot return."""
    if not _TO_ADDRESS.fullmatch(reader.address):
        raise address.BadAddress("This e-mail address holds a character that cannot stand in one.")
    return reader.address if reader.bare else address.quote_if_needed(reader.address)


@lru_cache(maxsize=16)
def _date(at: datetime, zone: tzinfo) -> str:
    """Return the value of Date; many letters share a second."""
    if at.tzinfo is None:
        raise ValueError("the time of a letter needs a zone")
    return format_datetime(at.astimezone(zone))


def _checked_header_value(value: str) -> str:
    """Return a value for a header; raise if it holds a space or a line break, which is a bug of ours."""
    if not _IN_HEADER.fullmatch(value):
        raise ValueError("a value with a space or a break cannot stand in a header")  # it may be an address: unnamed
    return value


def _from(form: LetterTemplate) -> str:
    own = address.quote_if_needed(_checked_header_value(form.from_address))
    return "From: " + mime_encoding.encode_mailbox(merge.one_line(form.from_name), own, len("From: "))


def _list_headers(form: LetterTemplate) -> str:
    """Return the List headers with token placeholder; readers do not post to the list (RFC 2369 3.4)."""
    loop = f"X-Kairan-Loop: {_checked_header_value(form.list_id or form.mail_domain)}\r\n"
    if not form.list_id:
        return loop
    mailto = f",\r\n <mailto:{_checked_header_value(form.leave_address)}>" if form.leave_address else ""
    list_id = mime_encoding.encode_mailbox(merge.one_line(form.list_name), form.list_id, len("List-Id: "))
    return (
        f"List-Id: {list_id if form.list_name else f'<{form.list_id}>'}\r\n"
        f"List-Unsubscribe: <{_checked_header_value(form.base_url)}/u/{_TOKEN}/one-click>{mailto}\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        f"List-Post: NO\r\n{loop}"
    )


def _fixed_headers(form: LetterTemplate) -> str:
    _checked_header_value(form.mail_domain)
    lines = ["X-Auto-Response-Suppress: OOF, AutoReply"]
    if form.automatic:
        lines += ["Auto-Submitted: auto-generated", "Precedence: bulk"]
    if form.urgent:
        lines += ["Importance: high", "Priority: urgent"]
    if form.reply_to:
        _checked_header_value(form.reply_to)
    lines.append("MIME-Version: 1.0")
    return "".join(f"{line}\r\n" for line in lines)


@dataclass(frozen=True, slots=True)
class LetterSections:
    """The lines below the organizer's text, with token placeholders."""

    files: tuple[str, ...]
    confirmation: tuple[str, ...]
    questions: tuple[tuple[str, ...], ...]
    caution: str
    footer: tuple[str, ...]


def _sections(form: LetterTemplate) -> LetterSections:
    return LetterSections(
        tuple(_files(form)) if form.files else (),
        tuple(_confirmation(form)) if form.read_confirmation else (),
        tuple(tuple(text_lines(form.language, question, _answer_url(form))) for question in form.questions),
        _do_not_forward_hint(form),
        tuple(footer_lines(form)) if form.footer else (),
    )


def _do_not_forward_hint(form: LetterTemplate) -> str:
    """Return the warning not to forward the link (field 4.3 no. 6)."""
    language = form.language
    if form.questions:
        return say(
            language, "The link is different for every family. If somebody else presses it, the answer is yours."
        )
    if form.read_confirmation:
        return say(language, "The link is different for every family. If somebody else presses it, it counts as yours.")
    return ""


def _text_below_body(form: LetterTemplate) -> str:
    """Return the text below the organizer's text, with token placeholders."""
    parts = _sections(form)
    above = "\n\n".join("\n".join(lines) for lines in _sections_above_footer(parts) if any(lines))
    blocks = [above, "\n".join(parts.footer)]
    shown = "".join(f"{_SEPARATOR}\n{block}\n" for block in blocks if block)
    return f"\n{shown}" if shown else ""


def _sections_above_footer(parts: LetterSections) -> Iterator[tuple[str, ...]]:
    yield from (parts.files, parts.confirmation, *parts.questions, (parts.caution,))


def _files(form: LetterTemplate) -> Iterator[str]:
    """Yield the files on the notice's page; the link is written once, with the read confirmation if there is one."""
    yield say(form.language, "[Files]")
    yield from (f"- {merge.one_line(one)}" for one in form.files)
    if form.attachments:
        yield say(form.language, "They are attached to this letter.")
    elif form.read_confirmation:
        yield say(form.language, "They are on the page behind the link below.")
    else:
        yield say(form.language, "Open them on this page:")
        yield f"{form.base_url}/r/{_TOKEN}"


def _confirmation(form: LetterTemplate) -> Iterator[str]:
    yield say(form.language, "[Read confirmation]")
    yield say(form.language, "When you have read this, open the link and press “I have read this”.")
    yield f"{form.base_url}/r/{_TOKEN}"


def _html_sections(form: LetterTemplate) -> Iterator[render_html.HtmlSection]:
    """Yield the same text as HTML sections, with buttons for URLs (decision 10)."""
    parts, language = _sections(form), form.language
    if parts.files:
        yield render_html.HtmlSection(parts.files[0], parts.files[1:])
    if parts.confirmation:
        button = (say(language, "I have read this"), parts.confirmation[-1])
        yield render_html.HtmlSection(parts.confirmation[0], parts.confirmation[1:-1], (button,))
    for question in form.questions:
        buttons = tuple(answer_buttons(language, question, _answer_url(form)))
        yield render_html.HtmlSection(merge.one_line(question.title), tuple(answer_terms(language, question)), buttons)
    yield render_html.HtmlSection("", (parts.caution,))
    yield render_html.HtmlSection("", parts.footer, small=True)


def _answer_url(form: LetterTemplate) -> str:
    return f"{form.base_url}/a/{_TOKEN}"


# ── the footer ───────────────────────────────────────────────────────────────────────────────────────────────────────

if TYPE_CHECKING:
    from mail.compose import LetterTemplate


def footer_lines(form: "LetterTemplate") -> Iterator[str]:
    """Yield how to unsubscribe, where replies go, and how to reach the school (D-26)."""
    language = form.language
    if form.list_id:
        yield say(
            language, "This letter goes to those registered with “%(list)s”.", list=merge.one_line(form.list_name)
        )
        yield say(language, "Change address, stop, or not for you:")
        yield f"{form.base_url}/u/{render_html.TOKEN_PLACEHOLDER}"
        yield _reply_lines(form)
    elif form.personal:
        yield say(language, "This letter goes to you alone.")
        yield _reply_lines(form)
    if form.contact:
        yield say(language, "Contact: %(contact)s", contact=merge.one_line(form.contact))
    yield from _sender_lines(form)


def _reply_lines(form: "LetterTemplate") -> str:
    if form.reply_to:
        return say(form.language, "Replies go to the sender.")
    return say(form.language, "Replies are read by the person in charge (they are not counted as answers).")


def _sender_lines(form: "LetterTemplate") -> Iterator[str]:
    """Yield the sender and its postal address, the name only once."""
    organization, postal = merge.one_line(form.organization), merge.one_line(form.postal)
    if organization and postal and organization not in postal:
        yield say(form.language, "%(organization)s, %(postal)s", organization=organization, postal=postal)
    elif organization or postal:
        yield postal or organization
