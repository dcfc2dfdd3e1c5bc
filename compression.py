"""Gzip compression of pages and static files. Goal: a page opens at 400 kbit/s (field 5.2).

Only text types are compressed, and no downloads. For the protection against BREACH see `docs/decisions/0040`.
"""

import gzip
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, current_app, request

COMPRESSIBLE_TYPES = {"text/html", "text/css", "text/javascript", "application/javascript", "image/svg+xml", "text/csv"}
MIN_BYTES = 1000
"""Shorter responses (polls, fragments) are not compressed."""
GZIP_LEVEL = 5


def init_app(app: Flask) -> None:
    app.after_request(compress_response)


def compress_response(response: Response) -> Response:
    """Compress the response if its type, its length and Accept-Encoding allow it."""
    static = request.endpoint == "static"
    if response.mimetype not in COMPRESSIBLE_TYPES or (response.direct_passthrough and not static):
        return response
    response.vary.add("Accept-Encoding")
    if response.status_code != 200 or request.method == "HEAD" or not request.accept_encodings["gzip"]:
        return response
    raw = (
        _gzip_static_file(f"{current_app.static_folder}/{request.view_args['filename']}")
        if static
        else _gzip_body(response)
    )
    if raw:
        response.close()  # closes the static file
        response.direct_passthrough = False
        response.set_data(raw)
        response.headers["Content-Encoding"] = "gzip"
        if etag := response.get_etag()[0]:
            response.set_etag(etag, weak=True)
    return response


def _gzip_body(response: Response) -> bytes:
    data = response.get_data()
    return gzip.compress(data, GZIP_LEVEL, mtime=0) if len(data) >= MIN_BYTES else b""


@lru_cache(maxsize=64)
def _gzip_static_file(path: str) -> bytes:
    """Return a static file compressed. Cached, because static files do not change while the process runs."""
    data = Path(path).read_bytes()
    return gzip.compress(data, 9, mtime=0) if len(data) >= MIN_BYTES else b""
