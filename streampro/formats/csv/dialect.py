"""How files of CSV are written, where not as RFC 4180 says."""

import codecs
import csv
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from streampro.arguments import declares
from streampro.errors import PipelineError

if TYPE_CHECKING:
    from streampro.modeling.source import Source

BLANK = " \t\r\n"
_NO_TEXT = {"idna", "mbcs", "oem", "punycode", "undefined", "utf-7"} | {
    "raw-unicode-escape",
    "unicode-escape",
}
"""Codecs that are no encoding of files, or mean another thing on each machine; and UTF-7, in which
a text has many spellings.
"""
_CONTROL = re.compile("[\0\r\n\ufeff\ud800-\udfff]")
_A_SIGN = "one sign that is no letter or digit"


@declares
@dataclass(frozen=True, kw_only=True, repr=False)
class Dialect:
    """How the files of a source of format `csv` are written, each argument where they differ from
    RFC 4180 in UTF-8. All files of a source are written alike; nothing is guessed.

    A first line `sep=;`, as spreadsheets write it, is passed over if it names the delimiter, and
    so is a byte order mark.

    Args:
        delimiter: the sign between fields, such as `";"`, `"|"` or a tab.
        quote: the sign around fields that hold a delimiter, a line end or the sign itself, which
            is then doubled; None where files have no quoting, so that it is a sign like others.
        encoding: any encoding of text that Python knows by name. `utf-16` and `utf-32` heed the
            byte order mark, and are little-endian without. Bytes that it does not have become
            U+FFFD and are counted as a warning.
        header: the columns in their order, where files have no row of titles. The first record
            must have as many fields.
        skip: lines at the start of each file that are passed over, the first of them included
            where it is `sep=;`.
        comment: what a line begins with that is passed over wherever a record may begin.
    """

    delimiter: str = ","
    quote: str | None = '"'
    encoding: str = "utf-8"
    header: tuple[str, ...] | None = None
    skip: int = 0
    comment: str | None = None

    def __post_init__(self) -> None:
        self._refuse_encoding()
        if not _is_sign(self.delimiter):
            raise _unlike("delimiter", self.delimiter, f"{_A_SIGN}, such as ';' or '\\t'")
        if self.quote is not None and not (_is_sign(self.quote) and self.quote.strip()):
            raise _unlike("quote", self.quote, f"{_A_SIGN} and no space, or None")
        if self.quote == self.delimiter:
            raise _unlike("quote", self.quote, "another sign than the delimiter")
        if type(self.skip) is not int or self.skip < 0:
            raise _unlike("skip", self.skip, "a number of lines")
        self._refuse_comment()
        self._refuse_header()
        for name in ("delimiter", "quote", "comment"):
            try:
                (getattr(self, name) or "").encode(self.encoding)
            except UnicodeEncodeError as error:
                raise _unlike(
                    name, getattr(self, name), f"text that {self.encoding} has"
                ) from error

    def __repr__(self) -> str:
        """Return what is written to declare it: what differs from the defaults."""
        said = (
            f"{each.name}={getattr(self, each.name)!r}"
            for each in fields(self)
            if getattr(self, each.name) != each.default
        )
        return f"Dialect({', '.join(said)})"

    @property
    def options(self) -> dict[str, Any]:
        """What Python's `csv` calls it."""
        quoting = csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL
        return {"delimiter": self.delimiter, "quotechar": self.quote, "quoting": quoting}

    @property
    def codec(self) -> str:
        """The one name of the encoding, `utf-8` also where a byte order mark is said."""
        return codecs.lookup(self.encoding).name.removesuffix("-sig")

    def differs(self, other: "Dialect") -> str:
        """Return in words what another dialect says of files that this one does not."""
        said = {
            "delimiter": f"its fields were separated by {other.delimiter!r}",
            "quote": f"its fields were quoted by {other.quote}",
            "skip": f"its titles stood on line {other.skip + 1}",
        }
        return " and ".join(
            what for name, what in said.items() if getattr(self, name) != getattr(other, name)
        )

    def _refuse_encoding(self) -> None:
        if not isinstance(self.encoding, str):
            raise _unlike("encoding", self.encoding, "a text")
        try:
            b"a".decode(self.encoding, "replace")
            codec = codecs.lookup(self.encoding)
        except (LookupError, UnicodeError, ValueError) as error:
            raise _unlike(
                "encoding", self.encoding, "one of text that Python knows, such as 'cp1252'"
            ) from error
        decoder = codec.incrementaldecoder
        is_python = decoder is not None and decoder.__module__.startswith("encodings.")
        if not is_python or codec.name.replace("_", "-") in _NO_TEXT:
            raise _unlike(
                "encoding", self.encoding, "one that files have on every machine, such as 'cp1252'"
            )

    def _refuse_comment(self) -> None:
        if (comment := self.comment) is None:
            return
        if not isinstance(comment, str) or not comment.strip() or _CONTROL.search(comment):
            raise _unlike("comment", comment, "what a line begins with, such as '#'")
        if comment.startswith((self.delimiter, self.quote or self.delimiter)):
            raise _unlike("comment", comment, "what no field begins with")

    def _refuse_header(self) -> None:
        if (header := self.header) is None:
            return
        if not isinstance(header, tuple | list) or not all(isinstance(n, str) for n in header):
            meant = f", such as ({header!r},)" if isinstance(header, str) else ""
            raise _unlike("header", header, f"a tuple of texts{meant}")
        if not header or not all(name.strip(BLANK) == name != "" for name in header):
            raise _unlike("header", header, "of names, without space around them")
        if twice := next((name for name in header if header.count(name) > 1), None):
            raise PipelineError(f"Dialect: header names {twice!r} twice.")
        object.__setattr__(self, "header", tuple(header))


def dialect_of(source: "Source") -> Dialect:
    """Return the dialect of a source of CSV, RFC 4180 in UTF-8 where it declares none."""
    return source.dialect or PLAIN


def seems(
    lines: Iterable[tuple[int, str]], dialect: Dialect, columns: Collection[str]
) -> tuple[str, Dialect] | None:
    """Return in words and as a dialect how the first of numbered lines is written that has all
    columns; None where none has.
    """
    for place, (number, line) in enumerate(lines):
        for meant in _others(dialect if not place else replace(dialect, skip=number - 1)):
            titles = {title.strip(BLANK) for title in _split(line, meant)}
            if titles.issuperset(columns):
                return dialect.differs(meant), meant
    return None


def split_into(line: str, dialect: Dialect, width: int) -> Iterator[Dialect]:
    """Yield the dialects in which a line has as many fields."""
    return (meant for meant in _others(dialect) if len(_split(line, meant)) == width > 1)


def _others(dialect: Dialect) -> Iterator[Dialect]:
    """Yield a dialect with each delimiter and quote that files have, its own first."""
    for delimiter in dict.fromkeys((dialect.delimiter, *",;\t|")):
        for quote in dict.fromkeys((dialect.quote, '"', "'")):
            if delimiter != quote:
                yield replace(dialect, delimiter=delimiter, quote=quote)


def _split(line: str, dialect: Dialect) -> list[str]:
    """Return the fields of a line, none where they do not end on it."""
    try:
        return next(csv.reader((line,), strict=True, **dialect.options), [])
    except csv.Error:
        return []


def _is_sign(value: object) -> bool:
    """Tell whether something can stand between fields or around them. A letter cannot: what stands
    beside one would be a part of a word, and `forget` looks for words.
    """
    return isinstance(value, str) and len(value) == 1 and not re.match(r"\w|[\0\r\n\ufeff]", value)


def _unlike(name: str, given: Any, what: str) -> PipelineError:
    return PipelineError(f"Dialect: {name} is {given!r}, but must be {what}.")


PLAIN = Dialect()
