"""The second place of the nightly backups: a folder, or a bucket of an S3-compatible storage."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from filecmp import cmp
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from obstore.store import S3Store

S3_SCHEMES = {"s3": "https", "s3+http": "http"}
REQUEST_TIMEOUT = timedelta(minutes=10)
RETRY_FOR = timedelta(minutes=5)


class CopyFailed(Exception):
    """The copy could not be made; the message says why, without keys."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, as in `s3://KEY:SECRET@host:port/bucket/folder?region=ap-northeast-1`."""

    endpoint: str
    name: str
    folder: str
    region: str
    key: str
    secret: str


def shown(place: str) -> str:
    """Return the place without its keys."""
    if not is_bucket(place):
        return place
    bucket = parse_bucket(place)
    return "/".join(part for part in (urlsplit(bucket.endpoint).netloc, bucket.name, bucket.folder) if part)


def is_bucket(place: str) -> bool:
    return "://" in place


def parse_bucket(url: str) -> Bucket:
    """Return the bucket of a URL whose key and secret are percent-encoded."""
    parts = urlsplit(url)
    name, _, folder = parts.path.strip("/").partition("/")
    host = parts.netloc.rpartition("@")[2]
    region = parts.query.partition("region=")[2] or "us-east-1"
    return Bucket(
        f"{S3_SCHEMES[parts.scheme]}://{host}",
        name,
        folder,
        region,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


def copy_backup(place: str, file: Path, is_old: Callable[[list[str]], list[str]]) -> None:
    """Copy a file to the second place, compare it, and delete the copies that `is_old` picks from the names there.

    Raises CopyFailed.
    """
    try:
        (_copy_to_bucket if is_bucket(place) else _copy_to_folder)(place, file, is_old)
    except OSError as error:  # obstore raises FileNotFoundError for a bucket that does not exist
        raise CopyFailed(f"{shown(place)}: {error.strerror or _first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _copy_to_folder(place: str, file: Path, is_old: Callable[[list[str]], list[str]]) -> None:
    """Copy into a folder that exists: a disk that is not mounted must not be replaced by an empty folder."""
    folder = Path(place)
    part = folder / f".{file.name}.kairan-part"
    try:
        with (
            file.open("rb") as read,
            open(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as written,
        ):
            shutil.copyfileobj(read, written, 2**20)
            written.flush()
            os.fsync(written.fileno())
        if not cmp(file, part, shallow=False):
            raise CopyFailed(f"{place}: the copy differs from the backup.")
        os.replace(part, folder / file.name)
    finally:
        part.unlink(missing_ok=True)
    for name in is_old([path.name for path in folder.iterdir()]):
        (folder / name).unlink(missing_ok=True)


def _copy_to_bucket(place: str, file: Path, is_old: Callable[[list[str]], list[str]]) -> None:
    from obstore.exceptions import BaseError

    try:
        store = _open_bucket(parse_bucket(place))
        store.put(file.name, file)
        if store.head(file.name)["size"] != file.stat().st_size:
            raise CopyFailed(f"{shown(place)}: the copy has another size than the backup.")
        for name in is_old([entry["path"] for entry in store.list().collect()]):
            store.delete(name)
    except BaseError as error:
        raise CopyFailed(f"{shown(place)}: {_first_line(error)}") from error


def _open_bucket(bucket: Bucket) -> "S3Store":
    from obstore.store import S3Store  # only one process needs it, once a night

    return S3Store(
        bucket.name,
        prefix=bucket.folder or None,
        endpoint=bucket.endpoint,
        region=bucket.region,
        access_key_id=bucket.key,
        secret_access_key=bucket.secret,
        client_options={"allow_http": bucket.endpoint.startswith("http:"), "timeout": REQUEST_TIMEOUT},
        retry_config={"max_retries": 3, "retry_timeout": RETRY_FOR},
    )
