"""Letters: what is the same for all readers of a notice is made once, what differs per letter.

RFC 5322 (message), 2045/2046 (MIME), 2047 (encoded words), 2919 (List-Id), 2369 (List-Post,
List-Unsubscribe), 8058 (one-click), 3834 (Auto-Submitted). Order of the text (T-43, T-49, D-26): what the
organizer wrote, the read confirmation, the questions, the footer. Each web address stands alone on its line and has
its label on the line before, since phones make everything up to the next space part of a link.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import format_datetime
from functools import lru_cache

from mail import address, asks, enclose, encode, footer, html_part, merge, pictures
from mail.asks import Ask
from words import say

_RULE = "─" * 16
_line = merge.one_line
_TOKEN = html_part.TOKEN
MARK = "{mark}"
"""Stands for a letter's mark in its reply address."""
_JAPAN = timezone(timedelta(hours=9))  # Asia/Tokyo has no summer time (RFC 5322 3.3 wants the offset alone)
_IN_HEADER = re.compile(r"[!-~]+")
_TO = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class Form:
    """What all letters of one notice in one list and language share; or one service letter.

    subject, text: as written, may hold `{{fields}}`. html: the same words decorated (`mail.rich`), and `pictured`
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
    asks: tuple[Ask, ...] = ()
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
class Reader:
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


def prepare(form: Form) -> "Prepared":
    """Make everything that all letters of a form share. Raises ValueError if a header value holds a break."""
    return Prepared(form)


class Prepared:
    """The letters of one form: `letter` gives the bytes, `subject` and `text` the words for a page."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._zone: tzinfo = _JAPAN if form.language == "ja" else UTC
        self._subject = merge.pieces(merge.one_line(form.subject))
        self._fixed_subject = _fixed_subject(self._subject)
        self._start, self._text = _start(merge.pieces(merge.plain(form.text).rstrip("\n") + "\n"))
        self._opening = encode.opening(self._start)
        self._tail = _tail(form).split(_TOKEN)
        self._from = _from(form)
        self._list = _list_headers(form).split(_TOKEN)
        self._rest = _rest(form)
        self._html = _page(form)
        self._reply_base = _safe(form.reply_base or f"r-{MARK}@{form.mail_domain}")

    def letter(self, reader: Reader) -> bytes:
        """Return the whole mail, lines ended by CRLF, ready to be signed. Raises BadAddress."""
        text = encode.body(self.text(reader)) if reader.about else encode.body(self._after_start(reader), self._opening)
        kind = encode.PLAIN if self._html is None else encode.ALTERNATIVE
        body = text if self._html is None else encode.alternative(text, *self._html_part(reader))
        if self._form.enclosed:
            kind, body = enclose.MIXED, enclose.mixed(kind, body, self._form.enclosed)
        return f"{self._head(reader)}{kind}\r\n".encode("ascii") + body

    def _html_part(self, reader: Reader) -> tuple[bytes, str]:
        """Return the HTML part and its headers; with pictures both stand in one part of their own."""
        html = encode.body(self.html(reader))
        behind = self._form.pictured
        return (pictures.related(html, behind), pictures.RELATED) if behind else (html, encode.HTML)

    def html(self, reader: Reader) -> str:
        """Return the HTML part; "" for a letter that is text alone (decision 10)."""
        values = {name: merge.plain(value) for name, value in reader.values.items()}
        return self._html.filled(values, _token(reader), merge.one_line(reader.about)) if self._html else ""

    def subject(self, reader: Reader) -> str:
        """Return the subject as the reader sees it, without line breaks whatever the values hold."""
        filled = merge.one_line(_filled(self._subject, reader.values))
        if not reader.child:
            return filled
        child = merge.one_line(reader.child)
        return say(self._form.language, "%(subject)s (%(child)s)", subject=filled, child=child)

    def text(self, reader: Reader) -> str:
        """Return the text as the reader sees it, with read confirmation and footer; lines end with \\n."""
        about = f"{merge.one_line(reader.about)}\n\n" if reader.about else ""
        return about + self._start + self._after_start(reader)

    def _after_start(self, reader: Reader) -> str:
        return _filled(self._text, reader.values) + _token(reader).join(self._tail)

    def _head(self, reader: Reader) -> str:
        form = self._form
        mark = address.mark(reader.number, form.secret)
        reply_to = self._reply_to(mark)
        return (
            f"{self._from}\r\n"
            f"To: {encode.mailbox(merge.one_line(reader.name), _recipient(reader), 4)}\r\n"
            f"Reply-To: {reply_to}\r\n"
            f"{self._subject_header(reader)}\r\n"
            f"Date: {_date(reader.at.replace(microsecond=0), self._zone)}\r\n"
            f"Message-ID: <{mark}@{form.mail_domain}>\r\n"
            f"{_token(reader).join(self._list)}"
            f"{self._rest}"
        )

    def _subject_header(self, reader: Reader) -> str:
        if self._fixed_subject and not reader.child:
            return self._fixed_subject
        return encode.header("Subject", self.subject(reader))

    def _reply_to(self, mark: str) -> str:
        own = self._form.reply_to
        return address.quoted(own) if own else self._reply_base.replace(MARK, mark)


def _page(form: Form) -> html_part.Page | html_part.Shown | None:
    """Return the HTML part of a form, None for text alone (decision 10)."""
    if form.page:
        return html_part.Shown(form.text.partition(_RULE)[0], form.page)
    if not (form.asks or form.image or form.counted or form.html):
        return None
    ways = {}
    for number, url in enumerate(form.counted, 1):
        shown = say(form.language, "Open link %(number)s", number=number)
        if len(form.counted) == 1:
            shown = say(form.language, "Open the link")
        ways[url] = html_part.Counted(f"{form.base_url}/c/{_TOKEN}/{number}", shown)
    image = f"{form.base_url}/o/{_TOKEN}.gif" if form.image else ""
    decorated = html_part.Decorated(form.html, form.mail_domain) if form.html else None
    return html_part.Page(form.language, form.text, _shown(form), ways, image, decorated)


def _fixed_subject(cut: list[merge.Piece]) -> str:
    """Return the Subject header if it is the same for every reader, else ""."""
    if any(piece.field for piece in cut):
        return ""
    return encode.header("Subject", "".join(piece.text for piece in cut))


def _start(cut: list[merge.Piece]) -> tuple[str, list[merge.Piece]]:
    """Cut a text into the beginning that is the same for every reader, and what comes after."""
    return ("", cut) if cut[0].field else (cut[0].text, cut[1:])


def _filled(cut: list[merge.Piece], values: Mapping[str, str]) -> str:
    """Return a text with the values that it asks for, each made fit for a letter."""
    asked = {name: merge.plain(values[name]) for _, name in cut if name and name in values}
    return merge.join(cut, asked, asked)


def _token(reader: Reader) -> str:
    if not (reader.token.isascii() and reader.token.isalnum()):
        raise ValueError(f"letter {reader.number}: its token cannot stand in a web address")
    return reader.token


def _recipient(reader: Reader) -> str:
    """Return the To address; one that could not come from `address.clean` is refused, not repaired."""
    if not _TO.fullmatch(reader.address):
        raise address.BadAddress("This e-mail address holds a character that cannot stand in one.")
    return reader.address if reader.bare else address.quoted(reader.address)


@lru_cache(maxsize=16)
def _date(at: datetime, zone: tzinfo) -> str:
    """Return the Date header's value; many letters share a second."""
    if at.tzinfo is None:
        raise ValueError("the time of a letter needs a zone")
    return format_datetime(at.astimezone(zone))


def _safe(value: str) -> str:
    """Return a value that goes into a header as it is; one with a space or break is a fault of ours."""
    if not _IN_HEADER.fullmatch(value):
        raise ValueError("a value with a space or a break cannot stand in a header")  # it may be an address: unnamed
    return value


def _from(form: Form) -> str:
    own = address.quoted(_safe(form.from_address))
    return "From: " + encode.mailbox(merge.one_line(form.from_name), own, len("From: "))


def _list_headers(form: Form) -> str:
    """Return the List headers, the token's place marked; readers do not post to the list (RFC 2369 3.4)."""
    loop = f"X-Kairan-Loop: {_safe(form.list_id or form.mail_domain)}\r\n"
    if not form.list_id:
        return loop
    mailto = f",\r\n <mailto:{_safe(form.leave_address)}>" if form.leave_address else ""
    list_id = encode.mailbox(merge.one_line(form.list_name), form.list_id, len("List-Id: "))
    return (
        f"List-Id: {list_id if form.list_name else f'<{form.list_id}>'}\r\n"
        f"List-Unsubscribe: <{_safe(form.base_url)}/u/{_TOKEN}/one-click>{mailto}\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        f"List-Post: NO\r\n{loop}"
    )


def _rest(form: Form) -> str:
    """Return the headers that are the same in every letter of a form."""
    _safe(form.mail_domain)
    lines = ["X-Auto-Response-Suppress: OOF, AutoReply"]
    if form.automatic:
        lines += ["Auto-Submitted: auto-generated", "Precedence: bulk"]
    if form.urgent:
        lines += ["Importance: high", "Priority: urgent"]
    if form.reply_to:
        _safe(form.reply_to)
    lines.append("MIME-Version: 1.0")
    return "".join(f"{line}\r\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Parts:
    """What stands below the organizer's words, as lines, the token's place marked."""

    files: tuple[str, ...]
    confirmation: tuple[str, ...]
    asks: tuple[tuple[str, ...], ...]
    caution: str
    footer: tuple[str, ...]


def _parts(form: Form) -> Parts:
    return Parts(
        tuple(_files(form)) if form.files else (),
        tuple(_confirmation(form)) if form.read_confirmation else (),
        tuple(tuple(asks.lines(form.language, ask, _answers(form))) for ask in form.asks),
        _caution(form),
        tuple(footer.lines(form)) if form.footer else (),
    )


def _caution(form: Form) -> str:
    """Say why the link is not to be passed on (field 4.3 no. 6)."""
    language = form.language
    if form.asks:
        return say(
            language, "The link is different for every family. If somebody else presses it, the answer is yours."
        )
    if form.read_confirmation:
        return say(language, "The link is different for every family. If somebody else presses it, it counts as yours.")
    return ""


def _tail(form: Form) -> str:
    """Return what stands below the organizer's words, the token's place marked."""
    parts = _parts(form)
    above = "\n\n".join("\n".join(lines) for lines in _above(parts) if any(lines))
    blocks = [above, "\n".join(parts.footer)]
    shown = "".join(f"{_RULE}\n{block}\n" for block in blocks if block)
    return f"\n{shown}" if shown else ""


def _above(parts: Parts) -> Iterator[tuple[str, ...]]:
    yield from (parts.files, parts.confirmation, *parts.asks, (parts.caution,))


def _files(form: Form) -> Iterator[str]:
    """List the files that stand behind the link; it is written once, with the read confirmation if there is one."""
    yield say(form.language, "[Files]")
    yield from (f"- {_line(one)}" for one in form.files)
    if form.enclosed:
        yield say(form.language, "They are attached to this letter.")
    elif form.read_confirmation:
        yield say(form.language, "They are on the page behind the link below.")
    else:
        yield say(form.language, "Open them on this page:")
        yield f"{form.base_url}/r/{_TOKEN}"


def _confirmation(form: Form) -> Iterator[str]:
    yield say(form.language, "[Read confirmation]")
    yield say(form.language, "When you have read this, open the link and press “I have read this”.")
    yield f"{form.base_url}/r/{_TOKEN}"


def _shown(form: Form) -> Iterator[html_part.Piece]:
    """Return the same words as pieces of an HTML page: real buttons instead of bare addresses (decision 10)."""
    parts, language = _parts(form), form.language
    if parts.files:
        yield html_part.Piece(parts.files[0], parts.files[1:])
    if parts.confirmation:
        button = (say(language, "I have read this"), parts.confirmation[-1])
        yield html_part.Piece(parts.confirmation[0], parts.confirmation[1:-1], (button,))
    for ask in form.asks:
        buttons = tuple(asks.buttons(language, ask, _answers(form)))
        yield html_part.Piece(_line(ask.title), tuple(asks.terms(language, ask)), buttons)
    yield html_part.Piece("", (parts.caution,))
    yield html_part.Piece("", parts.footer, small=True)


def _answers(form: Form) -> str:
    """Return the web address under which a reader answers."""
    return f"{form.base_url}/a/{_TOKEN}"
