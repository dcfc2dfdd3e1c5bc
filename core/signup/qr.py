"""QR codes (ISO/IEC 18004) by segno: an SVG path for pages, PNG for download."""

import io
import re
from dataclasses import dataclass
from functools import lru_cache

QUIET_ZONE_MODULES = 4
"""Modules of white around the code, as the standard requires."""
PIXELS_PER_MODULE = 12
"""Pixels of a module in a PNG: sharp on paper at 6 cm."""


@dataclass(frozen=True, slots=True)
class QrPath:
    """A code for SVG: `size` modules in both directions, quiet zone included, and the black path."""

    size: int
    path: str


@lru_cache(maxsize=2000)
def qr_svg_path(text: str) -> QrPath:
    code = _encode(text)
    svg = code.svg_inline(border=QUIET_ZONE_MODULES, omitsize=True)
    path = re.search(r'<path[^>]* d="([^"]+)"', svg)
    assert path  # noqa: S101
    return QrPath(code.symbol_size(border=QUIET_ZONE_MODULES)[0], path[1])


def qr_png(text: str) -> bytes:
    out = io.BytesIO()
    _encode(text).save(out, kind="png", scale=PIXELS_PER_MODULE, border=QUIET_ZONE_MODULES)
    return out.getvalue()


def _encode(text: str):  # type: ignore[no-untyped-def]
    import segno  # rarely needed, so not imported at every start

    return segno.make(text, error="m", micro=False)
