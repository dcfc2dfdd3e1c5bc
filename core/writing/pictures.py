"""Pictures among the words of a notice or sample: taken in, kept by what they hold, given to letters and pages (X-15).

A picture is named by its own hash, and the words say which ones stand in them; so a copied notice shows the same
picture, and nobody finds one whose content is not known already. The bytes lie under `data/pictures`, 0600.
"""

import hashlib
import os
import re
import secrets
import time
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import config as ground
from core.writing import attachments
from core.writing.attachments import MEGA, in_words
from mail import filekinds, photos
from mail import pictures as parts_of
from mail.filekinds import UnfitFile
from models import Notice, Sample, Wording
from words import N_

MOST = MEGA
MOST_TOGETHER = 2 * MEGA
"""Octets of one picture, and of all of a notice: they go inside every letter, and many phones load them by air."""
MOST_READ = 12 * MEGA
MOST_PIXELS = 30_000_000
"""A small file can unfold to gigabytes on every family's phone."""
YOUNG_S = 24 * 3600
_SOURCE = re.compile(r'src="cid:(p-[0-9a-f]{32})@[^"]*"')
_MARK = re.compile(r"cid:(p-[0-9a-f]{32})")
_NO_PICTURE = N_("“%(name)s” is no picture that every mail program shows. Please choose a JPEG or PNG.")
_TOO_WIDE = N_("“%(name)s” has more dots than phones can show. Please make it smaller.")
_TOO_LARGE = N_("“%(name)s” has %(size)s; a picture in a letter may have %(most)s. Please make it smaller.")


def add(name: str, content: bytes) -> str:
    """Keep a picture, without what a photo tells beside it; return its mark. Repeatable. Raises UnfitFile."""
    fit = filekinds.examined(name, content)
    if fit.kind not in parts_of.ENDINGS:
        raise UnfitFile(_NO_PICTURE, name=fit.name)
    if not 0 < photos.pixels(fit.kind, fit.content) <= MOST_PIXELS:
        raise UnfitFile(_TOO_WIDE, name=fit.name)
    if len(fit.content) > MOST:
        raise UnfitFile(_TOO_LARGE, name=fit.name, size=in_words(len(fit.content)), most=in_words(MOST))
    mark = f"p-{hashlib.sha256(fit.content).hexdigest()[:32]}"
    _keep(mark, fit.content)
    return mark


def _keep(mark: str, content: bytes) -> None:
    """Write a picture whole and flushed; one that is there already becomes young again."""
    path = folder() / mark
    if path.is_file():
        os.utime(path)
        return
    part = folder() / f".{secrets.token_hex(8)}"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())
    part.replace(path)


def folder() -> Path:
    """Return where the pictures lie; nobody but Kairan's own user may look in."""
    found = ground.current().data / "pictures"
    found.mkdir(mode=0o700, exist_ok=True)
    return found


def marks(html: str) -> list[str]:
    """Return the marks of the pictures that decorated words hold, each once, in their order."""
    return list(dict.fromkeys(_MARK.findall(html)))


def path_of(mark: str) -> Path | None:
    """Return the file of a picture, None if there is none (any more)."""
    found = folder() / mark
    return found if re.fullmatch(r"p-[0-9a-f]{32}", mark) and found.is_file() else None


def kind_of(path: Path) -> str:
    """Return the media type of a kept picture."""
    with path.open("rb") as file:
        return filekinds.kind_of(file.read(16)) or "application/octet-stream"


def there(wanted: Iterable[str]) -> list[str]:
    """Return those of some marks whose pictures are kept."""
    return [mark for mark in dict.fromkeys(wanted) if path_of(mark)]


def size(html: str) -> int:
    """Return how many octets the pictures of decorated words have together."""
    return sum(path.stat().st_size for mark in marks(html) if (path := path_of(mark)))


def inside(html: str, domain: str) -> bytes:
    """Return the pictures of decorated words as they go inside letters, encoded once for all; nothing without."""
    found = tuple(there(marks(html)))
    return _encoded(found, domain) if found else b""


@lru_cache(maxsize=2)
def _encoded(found: tuple[str, ...], domain: str) -> bytes:
    paths = [(mark, path) for mark in found if (path := path_of(mark))]
    return parts_of.parts(((mark, kind_of(path), path.read_bytes()) for mark, path in paths), domain)


def shown(html: str) -> str:
    """Return the HTML of a letter with its pictures in it, for a frame that may load nothing."""
    return _SOURCE.sub(lambda found: f'src="{_as_data(found[1])}"', html)


def _as_data(mark: str) -> str:
    path = path_of(mark)
    return f"data:{kind_of(path)};base64,{b64encode(path.read_bytes()).decode()}" if path else ""


def sweep(now: datetime) -> int:
    """Delete the pictures that no words hold any more, and those of notices closed a month ago; return how many."""
    wanted = _wanted(now)
    old = [one for one in folder().iterdir() if time.time() - one.stat().st_mtime > YOUNG_S and one.name not in wanted]
    for one in old:
        one.unlink(missing_ok=True)
    return len(old)


def _wanted(now: datetime) -> set[str]:
    """Return the marks that stand in samples, drafts, and notices whose files are still open."""
    found = {mark for row in Sample.select(Sample.html).where(Sample.html != "") for mark in marks(row.html)}
    for row in Wording.select(Wording.html, Notice).join(Notice).where(Wording.html.contains("cid:p-")):
        if row.notice.started_at is None or attachments.closes_at(row.notice) + attachments.KEPT > now:
            found.update(marks(row.html))
    return found
