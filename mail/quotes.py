"""Take quoted mails off a text: quotes of a reply go, a forwarded mail keeps its words without its header lines.

RFC 3676 4.5 (the mark of a quote). Introductions and header lines have no standard. Programs write them in their user's
language, in any order, folded, indented or below a quote mark. Nothing is removed from a new mail.
"""

import re
import unicodedata
from dataclasses import dataclass

MAX_LINE_CHARS = 1000
"""Characters of a line that are looked at: a longer one is a paragraph."""

MAX_UNKNOWN_FIELDS = 12
"""Fields of a header whose labels are not known; more are a table."""

_REPLY_PREFIX = re.compile(
    r"^\s*(?:re|aw|sv|vs|odp|ynt|antw|回复|回覆|答复|答覆|返信|返|회신)\s*(?:\[\d+\]|\^\d+|\(\d+\))?\s*[:：]",
    re.IGNORECASE,
)
_FORWARD_PREFIX = re.compile(
    r"^\s*(?:fwd?|wg|tr|rv|enc|vb|vl|pd|i|転送|轉寄|转发|전달)\s*(?:\[\d+\])?\s*[:：]|^\s*\[fwd", re.IGNORECASE
)

_LABELS = {
    "from": "from|差出人|送信者|発信者|送信元|发件人|寄件者|寄件人|보낸사람|보낸이|von|de|da|van|od|från|fra|lähettäjä|от|від|от кого"
    "|từ|người gửi|mula kay|จาก|dari|gönderen|من|expéditeur|remitente|mittente|remetente|nadawca|kimden|pengirim|absender",
    "to": "to|宛先|宛て先|あて先|送信先|收件人|收件者|받는사람|받는이|an|à|a|para|aan|do|till|til|vastaanottaja|кому|đến|tới"
    "|para kay|ถึง|kepada|kime|alıcı|إلى|destinataire|destinatario|destinatário|adresat|komu|empfänger|untuk|pour",
    "cc": "cc|bcc|ｃｃ|抄送|副本|密件副本|참조|숨은참조|kopie|copie|copia|kopia|копия|同報|写し|cópia|dw|udw|bilgi",
    "date": "date|sent|日時|日付|送信日時|送信日|受信日時|发送时间|发送日期|日期|寄件日期|傳送日期|보낸날짜|날짜|gesendet|datum|envoyé"
    "|enviado|enviada|inviato|data|fecha|verzonden|wysłano|skickat|sendt|дата|отправлено|date d'envoi|ngày|đã gửi|tarih"
    "|gönderildi|tanggal|dikirim|petsa|วันที่|ส่ง|التاريخ|lähetetty|päivämäärä|odesláno",
    "subject": "subject|件名|題名|標題|标题|主题|主旨|제목|betreff|objet|asunto|assunto|oggetto|onderwerp|temat|ämne|emne|тема"
    "|chủ đề|konu|perihal|subjek|paksa|หัวข้อ|เรื่อง|الموضوع|aihe|předmět",
    "reply-to": "reply-to|返信先|antwort an|répondre à|responder a|sender|resent-from|return-path|delivered-to|message-id|organization"
    "|organisation|importance|重要度|attachments|添付ファイル|添付|user-agent|newsgroups|references",
}
_CATEGORY = {
    unicodedata.normalize("NFKC", label).casefold().replace(" ", ""): category
    for category, labels in _LABELS.items()
    for label in labels.split("|")
}
_FIELD = re.compile(
    r"^[\W_]{0,4}(?P<label>[^\s:：@<>\"][^:：@<>\"\d]{0,24}?)[\s*_]*[:：][*_]*(?:\s|$|(?=[^/\s]))(?P<value>.*)$"
)

_DASHED = re.compile(r"^\s*[-_=*─━—–]{3,}\s*(?P<words>[^-_=*─━—–]{2,60}?)\s*[-_=*─━—–]{2,}\s*$")
_RULE = re.compile(r"^\s*[-_=*─━—–]{10,}\s*$")
_FORWARD_WORDS = re.compile(
    r"forward|fwd|転送|转发|轉寄|전달|weitergeleitet|transf[eé]r|reenviad|encaminhad|inoltrat|doorgestuurd"
    r"|przekazan|vidarebefordra|videresendt|пересыла|chuyển tiếp|diteruskan|iletilen|ส่งต่อ|transmis|edelleen",
    re.IGNORECASE,
)
_ORIGINAL_WORDS = re.compile(
    r"original|元のメッセージ|原邮件|原始|원본|ursprüngliche|mensaje original|messaggio originale|oorspronkelijk|исходное",
    re.IGNORECASE,
)
_UNDASHED_BORDER = re.compile(
    r"^\s*(?:begin forwarded message|転送されたメッセージ|anfang der weitergeleiteten nachricht|début du message (?:réexpédié|transféré)"
    r"|inicio del mensaje reenviado|início da mensagem (?:re)?encaminhada|inizio messaggio inoltrato|开始转发的邮件"
    r"|開始轉寄郵件|전달된 메시지 시작|以下、?転送(?:メール|メッセージ)?|以下転送)\s*[:：。]?\s*$",
    re.IGNORECASE,
)

_MARK = re.compile(r"^(?:[ \t]{0,3}[>＞])+[ \t]?")
_DATE = re.compile(
    r"\d{1,4}\s?[年/.-]\s?\d{1,2}\s?[月/.-]|\d{1,2}[:.]\d{2}|\d{1,2}\s\S{3,10}\.?\s\d{4}|\d{1,2}월|年", re.IGNORECASE
)
_WROTE = re.compile(
    r"wrote|writes|のメール|からのメール|書きました|書き込み|schrieb|a écrit|escribió|escreveu|ha scritto|schreef|skrev|napisał|写道"
    r"|寫道|작성|쓰셨|написал|пише|viết|yazdı|menulis|kirjoitti|เขียน|сообщил",
    re.IGNORECASE,
)
_ANY_ADDRESS = re.compile(r"\S@\S+\.\S|<[^<>]*>|<\s*$|<?mailto:")


@dataclass(frozen=True, slots=True)
class Unquoted:
    """A text without quotes. doubtful: words stayed that may be another's, because nothing says reply or forward."""

    text: str
    doubtful: bool = False


def has_reply_prefix(subject: str) -> bool:
    return _REPLY_PREFIX.match(unicodedata.normalize("NFKC", subject)) is not None


def without_quotes(text: str, subject: str = "", refers_to_ours: bool = False) -> Unquoted:
    """Return the text without quotes, introductions and header lines of other mails."""
    lines = [_Line(line) for line in text.replace("\r\n", "\n").split("\n")]
    blocks = _find_header_blocks(lines, subject)
    borders = _find_borders(lines, blocks)
    intros = _find_introductions(lines)
    forward = _forward_start(lines, subject, borders, blocks)
    answers = has_reply_prefix(subject) or refers_to_ours or bool(intros)
    removed = set(borders).union(*blocks, *intros)
    if forward is not None:
        _unmark(lines, forward, removed)
        _remove_quotes_below(lines, _find_introductions(lines, forward), removed)
    if answers:
        end = min((block.start for block in blocks), default=len(lines)) if forward is None else forward
        barred = _find_barred_quotes(lines, intros)
        removed |= {place for place in range(end) if lines[place].depth} | barred
        if forward is None and has_reply_prefix(subject):
            removed |= set(range(end, len(lines)))
    doubtful = bool(blocks) and not (answers or _says_forward(lines, subject, borders))
    doubtful |= any(line.depth and ">" in line.mark for place, line in enumerate(lines) if place not in removed)
    left = [line.text.rstrip() for place, line in enumerate(lines) if place not in removed]
    return Unquoted(re.sub(r"\n{4,}", "\n\n\n", "\n".join(left)), doubtful)


class _Line:
    """A line with the marks of a quote before it. depth: number of marks; bare: its begin without them."""

    def __init__(self, text: str) -> None:
        found = _MARK.match(text)
        self.text = text
        self.mark = found[0] if found else ""
        self.depth = sum(self.mark.count(sign) for sign in ">＞")
        self.bare = text[len(self.mark) : len(self.mark) + MAX_LINE_CHARS]

    @property
    def is_blank(self) -> bool:
        return not self.bare.strip()


# ── header lines ─────────────────────────────────────────────────────────────────────────────────────────────────


def _find_header_blocks(lines: list[_Line], subject: str) -> list[range]:
    """Return the lines of each header of a quoted or forwarded mail."""
    blocks, place = [], 0
    while place < len(lines):
        end = _header_end(lines, place, subject)
        if end > place:
            blocks.append(range(place, end))
        place = max(end, place + 1)
    return blocks


def _header_end(lines: list[_Line], start: int, subject: str) -> int:
    """Return where the header that begins at this line ends; start if none begins there."""
    if not _field(lines[start]):
        return start
    categories: list[str] = []
    labels: set[str] = set()
    unknown = addresses = 0
    place, end, spaced, at_addresses = start, start, False, False
    while place < len(lines):
        line = lines[place]
        if line.is_blank:
            following = _field(lines[place + 1]) if place + 1 < len(lines) else None
            known = following is not None and following[0] and following[0] not in categories
            if not known or (len(categories) >= 3 and not spaced):
                break
            spaced = True
            place += 1
            continue
        field = _field(line)
        if field and field[0]:
            if line.bare.partition(":")[0].partition("：")[0].strip() in labels:
                break
            labels.add(line.bare.partition(":")[0].partition("：")[0].strip())
            categories.append(field[0])
            at_addresses = field[0] in ("from", "to", "cc", "reply-to")
        elif place > start and not field and _continues(lines[place - 1], line, lines[start], at_addresses):
            pass
        elif field and not field[0] and (not categories or len(set(categories)) < 2 or _known_soon(lines, place)):
            unknown += 1
            if unknown > MAX_UNKNOWN_FIELDS:
                break
            at_addresses = "@" in field[1]
        else:
            break
        addresses += "@" in line.bare
        place += 1
        end = place
    return end if _is_header(set(categories), unknown, addresses, lines, start, subject) else start


def _is_header(
    categories: set[str], unknown: int, addresses: int, lines: list[_Line], start: int, subject: str
) -> bool:
    below = _is_below_border(lines, start)
    quoted = bool(lines[start].depth) or below or _is_forward_subject(subject)
    if len(categories) >= 3 and ("from" in categories or addresses):
        return True
    if len(categories) >= 2 and (quoted or (addresses and "from" in categories and "to" in categories)):
        return addresses > 0 or "from" in categories
    if categories and addresses and (below or lines[start].depth):
        return True
    return unknown >= 3 and addresses > 0 and (below or (quoted and addresses > 1))


def _is_below_border(lines: list[_Line], start: int) -> bool:
    above = next((line for line in reversed(lines[max(0, start - 3) : start]) if not line.is_blank), None)
    return above is not None and bool(
        _DASHED.match(above.bare) or _RULE.match(above.bare) or _UNDASHED_BORDER.match(above.bare)
    )


def _is_forward_subject(subject: str) -> bool:
    return _FORWARD_PREFIX.match(unicodedata.normalize("NFKC", subject)) is not None


def _known_soon(lines: list[_Line], place: int) -> bool:
    following = [_field(line) for line in lines[place + 1 : place + 3] if not line.is_blank]
    return any(field is not None and field[0] for field in following)


def _field(line: _Line) -> tuple[str, str] | None:
    """Return category ("" if unknown) and value of a line "Label: value"; None for another line."""
    found = _FIELD.match(line.bare)
    if not found or re.match(r"\s*(?:https?|mailto|tel)\s*:", line.bare, re.IGNORECASE):
        return None
    label = unicodedata.normalize("NFKC", found["label"]).casefold().strip(" *_\t").replace(" ", "")
    return _CATEGORY.get(label, ""), found["value"]


def _continues(before: _Line, line: _Line, first: _Line, at_addresses: bool) -> bool:
    """Tell whether a line continues the header field above it."""
    if _indent(line.bare) > _indent(first.bare) and not _field(line):
        return True
    if not at_addresses:
        return False
    if re.search(r"[,;<、]\s*$", before.bare) or re.search(r"[:：]\s*$", before.bare):
        return True
    return (
        "@" in line.bare
        and re.match(r"^[^。、！？]*[\w.+-]@[\w.-]+\s*[>\"')\]]*\s*[,;]?\s*(?:$|[^。！？]*@)", line.bare) is not None
    )


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" \t　"))


# ── borders, introductions, quotes ───────────────────────────────────────────────────────────────────────────────


def _find_borders(lines: list[_Line], blocks: list[range]) -> set[int]:
    """Return the lines that only say that another mail follows."""
    starts = {block.start for block in blocks}
    return {place for place in range(len(lines)) if _is_border(lines, place, starts)}


def _is_border(lines: list[_Line], place: int, header_starts: set[int]) -> bool:
    bare = lines[place].bare
    if _UNDASHED_BORDER.match(bare):
        return True
    below = next((at for at in range(place + 1, min(place + 4, len(lines))) if not lines[at].is_blank), -1)
    dashed = _DASHED.match(bare)
    if dashed and (_FORWARD_WORDS.search(dashed["words"]) or _ORIGINAL_WORDS.search(dashed["words"])):
        return True
    return below in header_starts and bool(dashed or _RULE.match(bare))


def _forward_start(lines: list[_Line], subject: str, borders: set[int], blocks: list[range]) -> int | None:
    """Return the line below which a forwarded mail stands; None if there is none."""
    said = [place for place in sorted(borders) if _names_forward(lines[place])]
    if said and not lines[said[0]].depth:
        return said[0]
    if _is_forward_subject(subject):
        starts = [*sorted(borders), *(block.start for block in blocks)]
        quoted = [place for place, line in enumerate(lines) if line.depth]
        return min(starts or quoted, default=None)
    if has_reply_prefix(subject):
        return None
    return min((*borders, *(block.start for block in blocks)), default=None) if borders or blocks else None


def _names_forward(line: _Line) -> bool:
    return bool(_UNDASHED_BORDER.match(line.bare) or _FORWARD_WORDS.search(line.bare))


def _says_forward(lines: list[_Line], subject: str, borders: set[int]) -> bool:
    return _is_forward_subject(subject) or any(_names_forward(lines[place]) for place in borders)


def _unmark(lines: list[_Line], start: int, removed: set[int]) -> None:
    """Take one mark off a forwarded mail of which every line bears one."""
    below = [line for place, line in enumerate(lines) if place >= start and place not in removed and not line.is_blank]
    if below and all(line.depth for line in below):
        for place in range(start, len(lines)):
            lines[place] = _Line(re.sub(r"^[ \t]{0,3}[>＞][ \t]?", "", lines[place].text))


def _find_introductions(lines: list[_Line], start: int = 0) -> list[range]:
    """Return the lines of each introduction ("On … wrote:") with a quote close below."""
    found = []
    for place in range(start, len(lines)):
        line = lines[place]
        if not re.search(r"[:：]\s*$", line.bare) or line.is_blank or not _quote_follows(lines, place):
            continue
        first = _introduction_start(lines, place)
        words = " ".join(one.bare for one in lines[first : place + 1])
        if _ANY_ADDRESS.search(words) or _WROTE.search(words) or _DATE.search(words):
            found.append(range(first, place + 1))
    return found


def _quote_follows(lines: list[_Line], place: int) -> bool:
    after = next((line for line in lines[place + 1 : place + 4] if not line.is_blank), None)
    depth = lines[place].depth
    return after is not None and (after.depth >= max(1, depth) or (not depth and _BARRED.match(after.bare) is not None))


def _introduction_start(lines: list[_Line], end: int) -> int:
    """Return where an introduction begins that a program broke into up to four lines."""
    first = end
    while first > 0 and end - first < 3:
        above = lines[first - 1]
        has_date = _DATE.search(" ".join(line.bare for line in lines[first : end + 1])) is not None
        broken = re.search(r"[,<(、]\s*$", above.bare) is not None
        opens = re.match(r"\s*(?:on|am|le|el|em|il|op|den|dne)\s", above.bare, re.IGNORECASE) is not None
        if (
            above.is_blank
            or above.depth != lines[end].depth
            or not (broken or (not has_date and (opens or _DATE.search(above.bare))))
        ):
            break
        first -= 1
    return first


def _remove_quotes_below(lines: list[_Line], intros: list[range], removed: set[int]) -> None:
    """Remove the quotes inside a forwarded mail, with their introductions."""
    for intro in intros:
        removed.update(intro)
        depth = max(1, lines[intro.start].depth)
        for place in range(intro.stop, len(lines)):
            if lines[place].depth < depth and not lines[place].is_blank:
                break
            removed.add(place)


def _find_barred_quotes(lines: list[_Line], intros: list[range]) -> set[int]:
    """Return the lines of quotes marked with a bar, directly below an introduction; a table is none."""
    found: set[int] = set()
    for intro in intros:
        for place in range(intro.stop, len(lines)):
            if not lines[place].is_blank and not _BARRED.match(lines[place].bare):
                break
            found.add(place)
    return found


_BARRED = re.compile(r"\s*[|｜](?!.*[|｜]\s*$)")
