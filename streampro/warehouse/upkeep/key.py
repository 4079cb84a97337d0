"""A key of rows, and how it is known in tables, statistics and texts."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streampro.errors import ConfigError, did_you_mean
from streampro.expressions.columns import ColumnRef
from streampro.formats.format import RAW_COLUMNS
from streampro.modeling.columns.lineage import Lineage
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source
from streampro.names import MASK
from streampro.storage.rewrite import Change

RAW_LINE, SOURCE_FILE = RAW_COLUMNS
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
"""How JSON may spell a letter."""


@dataclass(frozen=True)
class Key:
    """A key, and how it is known in rows, statistics and texts.

    A number alone is no mark of a key in a text, so it must stand behind a name, or be a whole
    field of CSV, or an element of a list where a source reads it as that.

    Attributes:
        column: its name in tables.
        text: its value.
        names: what raw files call it.
        is_of_source: whether a source has a field of that name.
        delimiters: signs that may stand between fields of CSV.
        quotes: signs that may stand around them.
        number: the value as tables spell it, where a column of that name holds numbers.
        references: tables and columns that refer to a column of that name.
        is_element: whether one has it where it is an element of a list.
    """

    column: str
    text: str
    names: frozenset[str]
    is_of_source: bool = False
    delimiters: str = ",;\t|"
    quotes: str = "\"'"
    number: str | None = None
    references: frozenset[tuple[str, str]] = frozenset()
    is_element: bool = False

    @property
    def is_number(self) -> bool:
        return self.number is not None or bool(re.fullmatch(r"[+-]?[\d.]+", self.text))

    def read_as(self, columns: Iterable[pa.Field]) -> "Key":
        """Return the key as columns of its name read it: a number however it is spelled."""
        types = {field.type for field in columns if field.name == self.column}
        for kind in sorted(filter(_is_number, types), key=pa.types.is_floating):
            if (value := self._value_of(kind)) is not None and value.is_valid:
                return replace(self, number=str(value.as_py()))
        return self

    def is_named_in(self, parts: Iterable[str]) -> bool:
        """Tell whether one of the parts that name a row is the key."""
        return not {f"{self.column}={each}" for each in self._spelt}.isdisjoint(parts)

    def is_in(self, line: str) -> bool:
        """Tell whether a raw line holds the key."""
        value = re.escape(self.text)
        alone = rf"(?<!\w){value}(?!\w)"
        if self.is_number:
            names = "|".join(map(re.escape, sorted(self.names)))
            ends, quote = re.escape(self.delimiters), f"[{re.escape(self.quotes)}]?"
            opened, closed = (r"\[", r"\]") if self.is_element else ("", "")
            begins = rf'"(?:{names})"\s*:\s*"?|^{quote}|[{ends}{opened}]\s*{quote}'
            value = f"({_NUMBER})" if self.number else f"({value})"
            alone = rf"(?:{begins})\s*{value}\s*(?={quote}\s*(?:[{ends}}}{closed}]|$))"
        if self.number:
            numbers = (n for each in self._readings(line) for n in re.findall(alone, each))
            return any(Decimal(n) == Decimal(self.number) for n in numbers)
        return any(re.search(alone, each) for each in self._readings(line))

    def mask(self, text: str) -> str:
        """Return a text of the log or the ledger without the key."""
        value = rf"(?<!\w){re.escape(self.text)}(?!\w)"
        if self.is_number:
            spelt = "|".join(map(re.escape, self._spelt))
            value = rf"(?<=(?<!\w){re.escape(self.column)}=)(?:{spelt})(?!\w)"
        return re.sub(value, MASK, text)

    def mask_value(self, text: str | None) -> str | None:
        """Return the text of a value, masked if it is the key."""
        return MASK if text == self.text and not self.is_number else text

    def is_bound(self, bounds: Mapping[str, Any]) -> bool:
        """Tell whether a statistic tells the key."""
        texts = (bound for bound in bounds.values() if isinstance(bound, str))
        is_bound = str(bounds.get(self.column)) in self._spelt
        return is_bound or (not self.is_number and any(map(self.is_in, texts)))

    def refuse_unknown_column(self, columns: Iterable[pa.Field]) -> None:
        """Raise `ConfigError` where neither a table nor a source has the column."""
        known = sorted({column.name for column in columns})
        if self.column not in known and not self.is_of_source:
            hint = did_you_mean(self.column, known)
            raise ConfigError(f"no table has a column {self.column!r}. {hint}".rstrip())

    def refuse_nested_column(self, columns: Iterable[pa.Field]) -> None:
        """Raise `ConfigError` where every column of that name holds lists, structs or maps."""
        types = {field.type for field in columns if field.name == self.column}
        if types and all(map(pa.types.is_nested, types)):
            are = " or ".join(sorted(map(str, types)))
            raise ConfigError(
                f"{self.column} is of type {are}: no single value, so no key. Name a column that "
                "has one, or take the value out of the raw files and run with --full-refresh."
            )

    def refuse_impossible_value(self, columns: Iterable[pa.Field]) -> None:
        """Raise `ConfigError` where no column of that name can have the value."""
        types = {column.type for column in columns if column.name == self.column}
        if types and all(self._value_of(kind) is None for kind in types):
            are = " or ".join(sorted(map(str, types)))
            raise ConfigError(f"no {self.column} is {self.text!r}: it is of type {are}.")

    def change(self) -> Change:
        """Return what becomes of a table."""
        return Change(
            columns=lambda names: [
                name for name in (self.column, RAW_LINE, SOURCE_FILE) if name in names
            ],
            rows=self.rest,
            is_told=self.is_bound,
            text=self.mask,
        )

    def elsewhere(self, table: str, rows: pa.Table) -> dict[str, int]:
        """Return how many of some rows that do not have the key hold its value otherwise, by
        column.
        """
        counts = {}
        names = [
            field.name
            for field in rows.schema
            if field.name not in (RAW_LINE, SOURCE_FILE)
            and (field.name != self.column or pa.types.is_nested(field.type))
            and (not self.is_number or (table, field.name) in self.references)
        ]
        rest = self.rest(rows) if names else rows
        for name in names:
            if pa.types.is_nested(rest.column(name).type):
                counts[name] = sum(
                    _holds(each, self.text) for each in rest.column(name).to_pylist()
                )
            elif self.is_number or pa.types.is_string(rest.column(name).type):
                counts[name] = pc.sum(self._equal(rest.column(name))).as_py()
        return {name: count for name, count in counts.items() if count}

    def rest(self, rows: pa.Table) -> pa.Table:
        """Return the rows that do not have the key, names of files without it."""
        found = pa.array([False] * len(rows), pa.bool_())
        if self.column in rows.column_names:
            found = pc.or_(found, self._equal(rows.column(self.column)).combine_chunks())
        if RAW_LINE in rows.column_names:
            lines = rows.column(RAW_LINE).to_pylist()
            held = [bool(line and self.is_in(line)) for line in lines]
            found = pc.or_(found, pa.array(held, pa.bool_()))
        return self._masked(rows.filter(pc.invert(found)) if pc.any(found).as_py() else rows)

    def _masked(self, rows: pa.Table) -> pa.Table:
        """Return rows without the key in names of files; the same object where it is in none."""
        if SOURCE_FILE not in rows.column_names:
            return rows
        place, names = rows.column_names.index(SOURCE_FILE), rows.column(SOURCE_FILE).to_pylist()
        masked = [name and self.mask(name) for name in names]
        if masked == names:
            return rows
        field = rows.schema.field(place)
        return rows.set_column(place, field, pa.array(masked, field.type))

    def _readings(self, line: str) -> Iterator[str]:
        """Yield a raw line as it is, and where they differ as JSON and as CSV would read its
        texts.
        """
        yield line
        if "\\" in line:
            read = _ESCAPED.sub(_unescaped, line)
            yield read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        for quote in self.quotes:
            if 2 * quote in line:
                yield line.replace(2 * quote, quote)

    def _equal(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        wanted = self._value_of(values.type)
        if wanted is None:
            return pa.chunked_array([pa.array([False] * len(values), pa.bool_())])
        return pc.fill_null(pc.equal(values, wanted), False)

    @property
    def _spelt(self) -> tuple[str, ...]:
        return (self.text, self.number) if self.number else (self.text,)

    def _value_of(self, kind: pa.DataType) -> pa.Scalar | None:
        """Return the value as a column of a type has it, None if it cannot."""
        text = self.number or self.text.removeprefix("+") if _is_number(kind) else self.text
        try:
            return pa.scalar(text).cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_decimal, pa.types.is_floating)
    return any(test(kind) for test in tests)


def _holds(value: Any, text: str) -> bool:
    """Tell whether a text is one of the values in a list, a struct or a map."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return bool(value == text)
    return any(_holds(each, text) for each in value)


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else _LETTERS.get(found[2], found[2])


def _fields_of(column: str, pipeline: Pipeline) -> list[tuple[Source, str]]:
    """Return the fields of sources of a name, and those of which alone columns of that name are
    made.
    """
    lineage, found = Lineage(pipeline), set[ColumnRef]()
    for model in pipeline.models.values():
        if column in model.spec.schema:
            origins = lineage.fields(ColumnRef(model.name, column))
            made_of = [origin.column for origin in origins if origin.how != "decides"]
            found |= {*made_of} if len(made_of) == 1 else set()
    return [
        (source, name)
        for source in pipeline.sources.values()
        for name in source.fields
        if name == column or ColumnRef(source.name, name) in found
    ]


def key_of(key: Mapping[str, Any], pipeline: Pipeline | None) -> Key:
    """Return a key by its column and value, and by what the sources of a pipeline call it.

    Raises `ConfigError` for no value, and for several columns.
    """
    parts = [part for pair in key.items() for part in pair]
    if len(key) != 1 or any(part is None or not str(part).strip() for part in parts):
        raise ConfigError("what to forget is one column and its value, such as user=42.")
    [(column, value)] = key.items()
    sources = pipeline.sources.values() if pipeline else ()
    fields = _fields_of(column, pipeline) if pipeline else []
    read = [(source.fields[name], source.rows) for source, name in fields]
    names = frozenset({column, *(path[-1] for path, _ in read)})
    dialects = [source.dialect for source in sources if source.dialect]
    references = {
        (model.name, name)
        for model in (pipeline.models.values() if pipeline else ())
        for name, (_, referenced) in model.spec.references.items()
        if referenced == column and name != column
    }
    return Key(
        column,
        str(value),
        names,
        is_of_source=bool(read),
        is_element=any(tuple(path) == tuple(rows) for path, rows in read),
        delimiters="".join({*Key.delimiters, *(each.delimiter for each in dialects)}),
        quotes="".join({*Key.quotes, *(each.quote or "" for each in dialects)}),
        references=frozenset(references),
    )
