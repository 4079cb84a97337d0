"""Object stores that this process reaches: `s3://`, `gs://`, Azure's; and files of the web.

Who may do what is told by the environment, as to every other program of the ecosystem: the
variables `AWS_*`, `GOOGLE_*` and `AZURE_*`, what a machine or a container is given, and the
profiles of AWS where boto3 is installed. Requests that fail by chance are tried again.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn, Self

from streampro.errors import ConfigError, EngineError, OvertakenError
from streampro.location import WEB, Remote, scheme_of
from streampro.storage.native import of_store
from streampro.storage.place import FileStatus, Found, Place
from streampro.storage.place.matching import WILD, fits, is_hidden, left_over, named_folder

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_AT_ONCE = 8
"""Files that are copied together."""
_PATIENCE = timedelta(seconds=30)
"""How long a request that failed is tried again; who stops a run waits for one that hangs."""
_LOOKED_AT = 10_000
"""Files that are looked at to tell which are not read."""


@dataclass(frozen=True)
class ObjectPlace(Place):
    """A place in an object store; a folder is what the names of objects begin with."""

    url: Remote
    is_local = False

    def __truediv__(self, name: str) -> Self:
        return type(self)(self.url / name)

    def __str__(self) -> str:
        return str(self.url)

    @property
    def path(self) -> NoReturn:
        raise EngineError(f"{self} is not on this machine.")

    def files(self, patterns: Iterable[str]) -> list[FileStatus]:
        found = {file.path: file for pattern in patterns for file in self._matching(pattern)}
        return [found[path] for path in sorted(found)]

    def unmatched(self, patterns: Iterable[str], but: Place) -> Iterator[str]:
        """See `Place.unmatched`. Only the first files are looked at; of the web none are listed."""
        folder, listed = f"{but}/", () if self._is_web else self._below()
        paths = (file.path for file in islice(listed, _LOOKED_AT))
        return left_over(
            (path for path in paths if not str(self / path).startswith(folder)), patterns
        )

    def exists(self) -> bool:
        with self._errors("looked at"):
            return self._status() is not None or any(True for _ in self._below())

    def make(self) -> None:
        """Stores know no folders."""

    def move(self, destination: Self) -> None:
        import obstore

        with self._errors("moved"):
            obstore.rename(self._store, self._key, destination._key)

    def link(self, destination: Self) -> None:
        import obstore

        with self._errors("copied"):
            obstore.copy(self._store, self._key, destination._key)

    def take(self, file: Path) -> None:
        """See `Place.take`: readers see all of the file or nothing."""
        import obstore

        with self._errors("written"):
            obstore.put(self._store, self._key, file)
            file.unlink()

    def remove(self) -> None:
        import obstore

        with self._errors("removed"):
            keys = [f"{self._key}/{file.path}" for file in self._below()]
            if keys:
                obstore.delete(self._store, keys)

    def read_each(self, names: Sequence[str]) -> Iterator[bytes]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(lambda name: (self / name)._read(), names)

    @contextmanager
    def at_hand(self, folder: Path) -> Iterator[Path]:
        import obstore

        copy = folder / PurePosixPath(self._key).name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with self._errors("read", may_miss=True), copy.open("wb") as written:
                for chunk in obstore.get(self._store, self._key).stream():
                    written.write(chunk)
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def put(self, file: Path, like: Self, etag: str | None = None) -> str | None:
        """See `Place.put`. What was put without being heard is known by what it holds."""
        import obstore
        from obstore.exceptions import PreconditionError

        mode: Any = {"e_tag": etag} if etag else "overwrite"
        with self._errors("written"):
            try:
                new = obstore.put(self._store, self._key, file, mode=mode)["e_tag"]
            except PreconditionError as error:
                if self._read() != file.read_bytes():
                    raise OvertakenError(
                        f"{self} was written by another command meanwhile: run again."
                    ) from error
                new = obstore.head(self._store, self._key)["e_tag"]
            file.unlink()
        return new

    def discard(self, names: Sequence[str]) -> None:
        import obstore

        with self._errors("removed"):
            if names:
                obstore.delete(self._store, [f"{self._key}/{name}" for name in names])

    def set_aside(self, destination: Self) -> None:
        """See `Place.set_aside`. The log goes last: without one a folder is no table."""
        for file in sorted(self._below(), key=lambda each: (is_hidden(each.path), each.path)):
            (self / file.path).move(destination / file.path)

    def lock(self) -> AbstractContextManager[None]:
        """Hold nothing: of two runs at once, the ledger lets one be published."""
        return nullcontext()

    def copy(self, files: Sequence[Found], folder: Path) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(lambda file: self._copy(file, folder / file.path), files):
                pass

    def file_system(self) -> Any:
        """Return what DuckDB reads data files of this store through, which never change."""
        from obstore.fsspec import FsspecStore

        class DataFiles(FsspecStore):
            cachable = False

            async def _info(self, path: str, **options: Any) -> Any:
                if path not in asked:
                    asked[path] = await super()._info(path, **options)
                return asked[path]

            def modified(self, path: str) -> Any:
                return self.info(path)["last_modified"]

        asked: dict[str, Any] = {}
        scheme: Any = scheme_of(self.url)
        return DataFiles(scheme, credential_provider=_credentials(scheme))

    def _read(self) -> bytes:
        import obstore

        with self._errors("read", may_miss=True):
            return bytes(obstore.get(self._store, self._key).bytes())

    def _copy(self, file: Found, copy: Path) -> None:
        import obstore
        from obstore.exceptions import PreconditionError

        place = self / file.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        with place._errors("read"):
            try:
                is_known = file.etag and file.version is None  # files of a table never change
                asked: Any = {"if_match": file.etag} if is_known else {}
                found = obstore.get(place._store, place._key, options=asked)
            except PreconditionError as error:
                raise EngineError(
                    f"{place} changed while it was read. Nothing was published: run again."
                ) from error
            with copy.open("wb") as written:
                for chunk in found.stream():
                    written.write(chunk)

    def _matching(self, pattern: str) -> Iterator[FileStatus]:
        if not WILD & {*pattern}:
            with (self / pattern)._errors("looked at"):
                status = (self / pattern)._status()
            if status:
                yield _found(pattern, status)
            return
        if self._is_web:
            raise ConfigError(
                f"{self} cannot be listed, as the web has no folders: name each file instead of "
                f"{pattern!r}."
            )
        for file in self._below(named_folder(pattern)):
            if fits(file.path, pattern):
                yield file

    def _below(self, folder: str = "") -> Iterator[FileStatus]:
        """Yield the files below a folder in this one, by their paths from here."""
        import obstore

        start = f"{self._key}/" if self._key else ""
        with self._errors("listed"):
            for page in obstore.list(self._store, prefix=f"{start}{folder}" or None):
                yield from (_found(each["path"].removeprefix(start), each) for each in page)

    def _status(self) -> Any:
        """Return what the store tells of a file, None if there is none of that name."""
        import obstore

        try:
            return obstore.head(self._store, self._key)
        except FileNotFoundError:
            return None

    @contextmanager
    def _errors(self, what: str, may_miss: bool = False) -> Iterator[None]:
        """Raise `EngineError` for what the store refuses, or does not answer; `FileNotFoundError`
        for what is not there, where it may miss.
        """
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            if may_miss:
                raise
            raise of_store(f"{self} cannot be {what}", error) from error
        except (BaseError, OSError, ValueError) as error:
            raise of_store(f"{self} cannot be {what}", error) from error

    @property
    def _is_web(self) -> bool:
        return scheme_of(self.url) in WEB

    @property
    def _store(self) -> "ObjectStore":
        return bucket(self.url[: -len(self._key)] if self._key else self.url)

    @property
    def _key(self) -> str:
        """The name of the object: what stands behind the bucket."""
        return re.sub("^[^:]+://[^/]*/?", "", self.url).strip("/")


@cache
def bucket(url: str) -> "ObjectStore":
    """Return the store that holds a bucket, or that a web server is."""
    from obstore.store import from_url

    if scheme_of(url) in WEB:
        options: Any = {"client_options": {"allow_http": scheme_of(url) == "http"}}
    else:
        options = {"credential_provider": _credentials(scheme_of(url))}
    return from_url(url.rstrip("/"), retry_config={"retry_timeout": _PATIENCE}, **options)


def _credentials(scheme: str) -> Any:
    """Return who tells the credentials, None where the store itself looks for them: in variables
    and on the machine, but not in the profiles of AWS.
    """
    is_aws = scheme in ("s3", "s3a")
    if not is_aws or "AWS_ACCESS_KEY_ID" in os.environ or not find_spec("boto3"):
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    return Boto3CredentialProvider()


def _found(path: str, status: Any) -> FileStatus:
    modified = int(status["last_modified"].timestamp() * 1_000_000) * 1_000
    return FileStatus(path, status["size"], modified, status["e_tag"])
