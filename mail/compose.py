"""Compose letters: parts shared by all recipients of a notice are built once, the rest per letter.

RFC 5322 (message), 2045/2046 (MIME), 2047 (encoded words), 2919 (List-Id), 2369 (List-Post, List-Unsubscribe),
8058 (one-click), 3834 (Auto-Submitted). Order of the text (T-43, T-49, D-26): the organizer's text, the read
confirmation, the questions, the footer. Each URL stands alone on its line with its label on the line before,
because phones take everything up to the next space into a link.
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
    """A question in a letter. choices: number (as it stands in the web address) and words.

    until: the deadline in words, "" if there is none. days: of a date finding, each with the number that says yes to
    it; all are answered on one page. who: a sentence on who answers once, "" if every household does.
    """

    title: str
    until: str
    choices: tuple[tuple[int, str], ...]
    days: tuple[tuple[int, str], ...] = ()
    who: str = ""


def text_lines(language: str, ask: LetterQuestion, page: str) -> Iterator[str]:
    """Return a question, how it is answered, and each choice with its own web address (T-49)."""
    yield say(language, "[Question] %(question)s", question=merge.one_line(ask.title))
    yield from _how_to_answer(language, ask)
    yield ""
    point = "・" if language == "ja" else "- "
    for number, day in ask.days:
        yield f"{point}{merge.one_line(day)}"
        yield f"{page}/{number}"
    if ask.days:
        yield say(language, "All days on one page:")
        yield page
        return
    for number, text in ask.choices:
        yield f"{number}. {merge.one_line(text)}"
        yield f"{page}/{number}"


def _how_to_answer(language: str, ask: LetterQuestion) -> Iterator[str]:
    """Return how a question is answered and until when."""
    if ask.days:
        yield say(
            language,
            "Open the link of a day that suits you, choose for the other days there too, and press the button.",
        )
    else:
        yield say(language, "Open the link that is right, and press the button there.")
    yield from answer_terms(language, ask)


def answer_terms(language: str, ask: LetterQuestion) -> Iterator[str]:
    """Say who answers, where that is not every household, and until when."""
    if ask.who:
        yield ask.who
    if ask.until:
        yield say(language, "Until %(day)s; you can change your answer until then.", day=ask.until)


def answer_buttons(language: str, ask: LetterQuestion, page: str) -> Iterator[tuple[str, str]]:
    """Return the same as buttons: words and web address."""
    for number, text in ask.days or ask.choices:
        yield merge.one_line(text), f"{page}/{number}"
    if ask.days:
        yield say(language, "All days on one page"), page


# ── letters ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_SEPARATOR = "─" * 16
_TOKEN = render_html.TOKEN_PLACEHOLDER
VERP_TAG_PLACEHOLDER = "{mark}"
"""Stands for a letter's mark in its reply address."""
_JAPAN = timezone(timedelta(hours=9))  # Asia/Tokyo has no summer time (RFC 5322 3.3 wants the offset alone)
_IN_HEADER = re.compile(r"[!-~]+")
_TO_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class LetterTemplate:
    """What all letters of one notice in one list and language share; or one service letter.

    subject, text: as written, may hold `{{fields}}`. html: the same words decorated (`mail.html.sanitizer`), and `pictured`
    their pictures as `pictures.parts` gives them. page: the HTML of another letter that this one shows below its
    own text. from_name: display name. from_address: the list's own address, `postmaster@` for service letters.
    base_url: without slash at its end. secret: for marks. list_name, list_id: "" for service letters, which then
    have no List headers and no leave link. leave_address: the list's `-leave` address, offered beside one-click if
    given. reply_to: an own address that its owner ticked; None = the letter's own `r-` address, which `reply_base`
    names with MARK for the letter's mark ("": at the mail domain). automatic: nobody pressed "send" for it (RFC
    3834). asks: questions; with any, an HTML part of the same words is made (decision 10). image, counted: that
    part holds a picture that counts openings, and these web addresses of the text lead by our counter there (D-31).
    files: names and sizes of what stands on the notice's page. enclosed: the same files inside the letter, as
    `enclose.parts` gives them. personal: to one person alone.
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
    asks: tuple[LetterQuestion, ...] = ()
    files: tuple[str, ...] = ()
    personal: bool = False
    html: str = ""
    page: str = field(default="", repr=False)
    pictured: bytes = field(default=b"", repr=False)
    enclosed: bytes = field(default=b"", repr=False)
    image: bool = False
    counted: tuple[str, ...] = ()
    footer: bool = True
    reply_to: str | None = None
    reply_base: str = ""
    urgent: bool = False
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class LetterRecipient:
    """What differs from letter to letter.

    number: of the letter, below 2**40. address: as `address.clean` gives it. bare: the mail server
    wants a local part that breaks RFC 5322 unquoted. token: of the delivery, for web addresses.
    values: every known field, "" where this reader has none; other names stay as written. child: given
    name for the end of the subject, when the reader has a letter for each child; about: the sentence above
    the text that says so. at: for the Date header, aware UTC.
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
        """Return the whole mail, lines ended by CRLF, ready to be signed. Raises BadAddress."""
        text = (
            mime_encoding.encode_body(self.text(reader))
            if reader.about
            else mime_encoding.encode_body(self._after_start(reader), self._opening)
        )
        kind = mime_encoding.PLAIN_HEADERS if self._html is None else mime_encoding.ALTERNATIVE_HEADERS
        body = text if self._html is None else mime_encoding.alternative_body(text, *self._html_part(reader))
        if self._form.enclosed:
            kind, body = mime_encoding.MIXED_HEADERS, mime_encoding.mixed_body(kind, body, self._form.enclosed)
        return f"{self._head(reader)}{kind}\r\n".encode("ascii") + body

    def _html_part(self, reader: LetterRecipient) -> tuple[bytes, str]:
        """Return the HTML part and its headers; with pictures both stand in one part of their own."""
        html = mime_encoding.encode_body(self.html(reader))
        behind = self._form.pictured
        return (
            (mime_encoding.related_body(html, behind), mime_encoding.RELATED_HEADERS)
            if behind
            else (html, mime_encoding.HTML_HEADERS)
        )

    def html(self, reader: LetterRecipient) -> str:
        """Return the HTML part; "" for a letter that is text alone (decision 10)."""
        values = {name: merge.clean_text(value) for name, value in reader.values.items()}
        return self._html.filled(values, _token(reader), merge.one_line(reader.about)) if self._html else ""

    def subject(self, reader: LetterRecipient) -> str:
        """Return the subject as the reader sees it, without line breaks whatever the values hold."""
        filled = merge.one_line(_fill_pieces(self._subject, reader.values))
        if not reader.child:
            return filled
        child = merge.one_line(reader.child)
        return say(self._form.language, "%(subject)s (%(child)s)", subject=filled, child=child)

    def text(self, reader: LetterRecipient) -> str:
        """Return the text as the reader sees it, with read confirmation and footer; lines end with \\n."""
        about = f"{merge.one_line(reader.about)}\n\n" if reader.about else ""
        return about + self._start + self._after_start(reader)

    def _after_start(self, reader: LetterRecipient) -> str:
        return _fill_pieces(self._text, reader.values) + _token(reader).join(self._tail)

    def _head(self, reader: LetterRecipient) -> str:
        form = self._form
        mark = address.make_verp_tag(reader.number, form.secret)
        reply_to = self._reply_to(mark)
        return (
            f"{self._from}\r\n"
            f"To: {mime_encoding.encode_mailbox(merge.one_line(reader.name), _to_address(reader), 4)}\r\n"
            f"Reply-To: {reply_to}\r\n"
            f"{self._subject_header(reader)}\r\n"
            f"Date: {_date(reader.at.replace(microsecond=0), self._zone)}\r\n"
            f"Message-ID: <{mark}@{form.mail_domain}>\r\n"
            f"{_token(reader).join(self._list)}"
            f"{self._rest}"
        )

    def _subject_header(self, reader: LetterRecipient) -> str:
        if self._fixed_subject and not reader.child:
            return self._fixed_subject
        return mime_encoding.encode_header("Subject", self.subject(reader))

    def _reply_to(self, mark: str) -> str:
        own = self._form.reply_to
        return address.quote_if_needed(own) if own else self._reply_base.replace(VERP_TAG_PLACEHOLDER, mark)


def _html_page(form: LetterTemplate) -> render_html.HtmlPage | render_html.HtmlCopy | None:
    """Return the HTML part of a form, None for text alone (decision 10)."""
    if form.page:
        return render_html.HtmlCopy(form.text.partition(_SEPARATOR)[0], form.page)
    if not (form.asks or form.image or form.counted or form.html):
        return None
    ways = {}
    for number, url in enumerate(form.counted, 1):
        shown = say(form.language, "Open link %(number)s", number=number)
        if len(form.counted) == 1:
            shown = say(form.language, "Open the link")
        ways[url] = render_html.CountedLink(f"{form.base_url}/c/{_TOKEN}/{number}", shown)
    image = f"{form.base_url}/o/{_TOKEN}.gif" if form.image else ""
    decorated = render_html.RichBody(form.html, form.mail_domain) if form.html else None
    return render_html.HtmlPage(form.language, form.text, _html_sections(form), ways, image, decorated)


def _fixed_subject(cut: list[merge.TextPiece]) -> str:
    """Return the Subject header if it is the same for every reader, else ""."""
    if any(piece.field for piece in cut):
        return ""
    return mime_encoding.encode_header("Subject", "".join(piece.text for piece in cut))


def _split_fixed_start(cut: list[merge.TextPiece]) -> tuple[str, list[merge.TextPiece]]:
    """Cut a text into the beginning that is the same for every reader, and what comes after."""
    return ("", cut) if cut[0].field else (cut[0].text, cut[1:])


def _fill_pieces(cut: list[merge.TextPiece], values: Mapping[str, str]) -> str:
    """Return a text with the values that it asks for, each made fit for a letter."""
    asked = {name: merge.clean_text(values[name]) for _, name in cut if name and name in values}
    return merge.join_pieces(cut, asked, asked)


def _token(reader: LetterRecipient) -> str:
    if not (reader.token.isascii() and reader.token.isalnum()):
        raise ValueError(f"letter {reader.number}: its token cannot stand in a web address")
    return reader.token


def _to_address(reader: LetterRecipient) -> str:
    """Return the To address; one that could not come from `address.clean` is refused, not repaired."""
    if not _TO_ADDRESS.fullmatch(reader.address):
        raise address.BadAddress("This e-mail address holds a character that cannot stand in one.")
    return reader.address if reader.bare else address.quote_if_needed(reader.address)


@lru_cache(maxsize=16)
def _date(at: datetime, zone: tzinfo) -> str:
    """Return the Date header's value; many letters share a second."""
    if at.tzinfo is None:
        raise ValueError("the time of a letter needs a zone")
    return format_datetime(at.astimezone(zone))


def _checked_header_value(value: str) -> str:
    """Return a value that goes into a header as it is; one with a space or break is a fault of ours."""
    if not _IN_HEADER.fullmatch(value):
        raise ValueError("a value with a space or a break cannot stand in a header")  # it may be an address: unnamed
    return value


def _from(form: LetterTemplate) -> str:
    own = address.quote_if_needed(_checked_header_value(form.from_address))
    return "From: " + mime_encoding.encode_mailbox(merge.one_line(form.from_name), own, len("From: "))


def _list_headers(form: LetterTemplate) -> str:
    """Return the List headers, the token's place marked; readers do not post to the list (RFC 2369 3.4)."""
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
    """Return the headers that are the same in every letter of a form."""
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
    """What stands below the organizer's words, as lines, the token's place marked."""

    files: tuple[str, ...]
    confirmation: tuple[str, ...]
    asks: tuple[tuple[str, ...], ...]
    caution: str
    footer: tuple[str, ...]


def _sections(form: LetterTemplate) -> LetterSections:
    return LetterSections(
        tuple(_files(form)) if form.files else (),
        tuple(_confirmation(form)) if form.read_confirmation else (),
        tuple(tuple(text_lines(form.language, ask, _answer_url(form))) for ask in form.asks),
        _do_not_forward_hint(form),
        tuple(footer_lines(form)) if form.footer else (),
    )


def _do_not_forward_hint(form: LetterTemplate) -> str:
    """Say why the link is not to be passed on (field 4.3 no. 6)."""
    language = form.language
    if form.asks:
        return say(
            language, "The link is different for every family. If somebody else presses it, the answer is yours."
        )
    if form.read_confirmation:
        return say(language, "The link is different for every family. If somebody else presses it, it counts as yours.")
    return ""


def _text_below_body(form: LetterTemplate) -> str:
    """Return what stands below the organizer's words, the token's place marked."""
    parts = _sections(form)
    above = "\n\n".join("\n".join(lines) for lines in _sections_above_footer(parts) if any(lines))
    blocks = [above, "\n".join(parts.footer)]
    shown = "".join(f"{_SEPARATOR}\n{block}\n" for block in blocks if block)
    return f"\n{shown}" if shown else ""


def _sections_above_footer(parts: LetterSections) -> Iterator[tuple[str, ...]]:
    yield from (parts.files, parts.confirmation, *parts.asks, (parts.caution,))


def _files(form: LetterTemplate) -> Iterator[str]:
    """List the files that stand behind the link; it is written once, with the read confirmation if there is one."""
    yield say(form.language, "[Files]")
    yield from (f"- {merge.one_line(one)}" for one in form.files)
    if form.enclosed:
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
    """Return the same words as pieces of an HTML page: real buttons instead of bare addresses (decision 10)."""
    parts, language = _sections(form), form.language
    if parts.files:
        yield render_html.HtmlSection(parts.files[0], parts.files[1:])
    if parts.confirmation:
        button = (say(language, "I have read this"), parts.confirmation[-1])
        yield render_html.HtmlSection(parts.confirmation[0], parts.confirmation[1:-1], (button,))
    for ask in form.asks:
        buttons = tuple(answer_buttons(language, ask, _answer_url(form)))
        yield render_html.HtmlSection(merge.one_line(ask.title), tuple(answer_terms(language, ask)), buttons)
    yield render_html.HtmlSection("", (parts.caution,))
    yield render_html.HtmlSection("", parts.footer, small=True)


def _answer_url(form: LetterTemplate) -> str:
    """Return the web address under which a reader answers."""
    return f"{form.base_url}/a/{_TOKEN}"


# ── the footer ───────────────────────────────────────────────────────────────────────────────────────────────────────

if TYPE_CHECKING:
    from mail.compose import LetterTemplate


def footer_lines(form: "LetterTemplate") -> Iterator[str]:
    """Return the lines: how to stop, where replies go, how to reach the school (D-26)."""
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
    """Return who sends and from where, the name once only."""
    organization, postal = merge.one_line(form.organization), merge.one_line(form.postal)
    if organization and postal and organization not in postal:
        yield say(form.language, "%(organization)s, %(postal)s", organization=organization, postal=postal)
    elif organization or postal:
        yield postal or organization
