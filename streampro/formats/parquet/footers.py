"""What the ends of Parquet files tell, before a row is read."""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from streampro.errors import SourceError

MOST_DIGITS = 38
_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"
_USUAL_FOOTER = 64 * 1024
_HIVE = re.compile("([^=]+)=(.*)")


@dataclass(frozen=True)
class Footer:
    """What the end of a file tells: its name below the raw folder, rows, and columns: their names,
    and a `schema` that is an equal text for equal ones. `void` are those without any type, which
    hold nulls only, `inexact` those of which engines would lose digits, and what they are.
    """

    name: str
    content: bytes
    rows: int
    names: tuple[str, ...]
    schema: str
    void: frozenset[str] = frozenset()
    inexact: Mapping[str, str] = field(default_factory=dict)

    @property
    def folders(self) -> tuple[str, ...]:
        """The columns that folders tell, such as `month=2026-01`."""
        parts = PurePosixPath(self.name).parts[:-1]
        return tuple(found[1] for part in parts if (found := _HIVE.fullmatch(part)))


def local_footers(raw: Path, paths: Sequence[Path]) -> list[Footer]:
    """Return the footers of files on a disk. Raises `SourceError` for what is no Parquet file."""
    with ThreadPoolExecutor() as pool:
        return [
            *pool.map(
                lambda path: footer_of(path.relative_to(raw).as_posix(), *on_disk(path)), paths
            )
        ]


def footer_of(name: str, size: int, tail: Callable[[int], bytes]) -> Footer:
    """Return the footer of a file of so many bytes, of which `tail` reads the last ones.

    Raises `SourceError` for what is no Parquet file, is cut off, or is encrypted.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    end = tail(min(size, _USUAL_FOOTER))
    if end[-4:] == _ENCRYPTED:
        raise SourceError(f"{name} is encrypted, and nobody tells its key. Nothing was published.")
    needed = int.from_bytes(end[-8:-4], "little") + 8
    if end[-4:] != _MAGIC or not 12 <= needed + 4 <= size:
        raise SourceError(
            f"{name} is no Parquet file, or its end is cut off: it has {size:,} bytes and no "
            "footer. Write it anew or remove it; nothing was published."
        )
    content = _MAGIC + (end if needed <= len(end) else tail(needed))[-needed:]
    try:
        told = pq.read_metadata(pa.BufferReader(content))
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"{name} cannot be read as Parquet: {error}. Nothing was published."
        ) from error
    names = told.schema.to_arrow_schema().names
    leaves = [told.schema.column(number) for number in range(told.num_columns)]
    of = {leaf.path: _top(leaf.path, names) for leaf in leaves}
    typed = {of[leaf.path] for leaf in leaves if not _is_void(leaf)}
    return Footer(
        name,
        content,
        told.num_rows,
        tuple(names),
        "\n".join(str(told.schema).splitlines()[1:]),
        frozenset(of.values()) - typed,
        {of[leaf.path]: what for leaf in leaves if (what := _inexact(leaf))},
    )


def _top(path: str, names: Sequence[str]) -> str:
    """Return the column of a leaf; names may have dots too."""
    return max((each for each in names if f"{path}.".startswith(f"{each}.")), key=len)


def _is_void(leaf: Any) -> bool:
    return bool(leaf.logical_type.type == "UNKNOWN" and leaf.converted_type != "INTERVAL")


def _inexact(leaf: Any) -> str:
    """Return what a leaf is of which DuckDB would lose digits, else nothing."""
    kind = leaf.logical_type
    if kind.type == "DECIMAL" and leaf.precision > MOST_DIGITS:
        return f"decimal of more than {MOST_DIGITS} digits"
    is_of_nanoseconds = kind.type == "TIME" and "nanoseconds" in kind.to_json()
    return "time in nanoseconds" if is_of_nanoseconds else ""


def last_bytes(path: Path, size: int, length: int) -> bytes:
    """Return the last bytes of a file of a size."""
    with path.open("rb") as file:
        file.seek(size - length)
        return file.read(length)


def on_disk(path: Path) -> tuple[int, Callable[[int], bytes]]:
    """Return the bytes of a file on a disk, and what reads the last ones."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error

    def tail(length: int) -> bytes:
        try:
            return last_bytes(path, size, length)
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}.") from error

    return size, tail
