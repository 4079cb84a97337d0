"""What is read: raw files of one kind."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from typing import Any, Literal, get_args

import ibis
import ibis.expr.datatypes as dt

from streampro.arguments import declares
from streampro.errors import PipelineError, did_you_mean
from streampro.expressions import types as column_types
from streampro.formats.csv.dialect import Dialect
from streampro.formats.registry import format_of, given_columns
from streampro.names import is_ours, refused_table, repeated, twins

Reaction = Literal["fail", "warn"]
FEWEST = 20
"""Lines or rows below which no share is looked at: of two lines one bad one is no sign of anything.
"""


@declares
@dataclass(frozen=True)
class Limits:
    """Limits of what is odd about a source in one run, and what happens beyond each: `fail` stops
    the run, nothing is published; `warn` makes a warning of it.

    Args:
        rejected_share: share of the lines that a run reads which may be rejected, 0 to 1; looked
            at from 20 lines on.
        rejected_lines: number of them that may be, null for any.
        rejected: what happens beyond either, and where all lines of a file are rejected, however
            few it has. Lines of which a model without quarantine reads nothing count as rejected.
        never_given: what happens where a column is null in every row that a run accepts and the
            table has not yet, at least 20, as of a key that is spelled otherwise.
        vanished_share: share of the rows of a table that is built anew, at least 20, whose key may
            be gone; of rows without a key, those that may be; of models without `incremental_by`.
        vanished: what happens beyond it.
        freshness: how old the newest event of a table that is made of the lines may be when a run
            ends, null for any age; of models whose contract has an `event_time`. Looked at by every
            run, one that has nothing to do among them.
        stale: what happens where it is older, or where there is none, `warn` where not said.
            Events a day or more ahead do not count.
        row_change: share by which the rows of such a table, at least 20, may be more or fewer than
            the last run had, null for any.
        changed: what happens beyond it, `warn` where not said.
        lost_files_share: share of the files that the last run read which may be gone, 0 to 1, of
            any number of files. A run that finds fewer stops, whatever is done with other limits,
            unless it is told `accept_lost_files`: a folder that is not mounted looks like this.
    """

    rejected_share: float = 0.5
    rejected_lines: int | None = None
    rejected: Reaction = "fail"
    never_given: Reaction = "warn"
    vanished_share: float = 0.5
    vanished: Reaction = "warn"
    freshness: timedelta | None = None
    stale: Reaction | None = None
    row_change: float | None = None
    changed: Reaction | None = None
    lost_files_share: float = 0.2

    def __post_init__(self) -> None:
        for name in ("rejected_share", "vanished_share", "lost_files_share"):
            if not _is_share(given := getattr(self, name)):
                raise PipelineError(f"Limits: {name} is {given!r}, but must be 0 to 1.")
        age = self.freshness
        if age is not None and not (isinstance(age, timedelta) and age > timedelta()):
            raise PipelineError(
                f"Limits: freshness is {age!r}, but must be a timedelta above zero, or None."
            )
        change = self.row_change
        if change is not None and (type(change) not in (int, float) or not 0 <= change < inf):
            raise PipelineError(
                f"Limits: row_change is {change!r}, but must be a share from 0 up, or None."
            )
        lines = self.rejected_lines
        if lines is not None and (type(lines) is not int or lines < 0):
            raise PipelineError(
                f"Limits: rejected_lines is {lines!r}, but must be a number of lines or None."
            )
        for name, of in (("stale", "freshness"), ("changed", "row_change")):
            if getattr(self, name) is not None and getattr(self, of) is None:
                raise PipelineError(
                    f"Limits: {name}={getattr(self, name)!r} says nothing without {of}=..."
                )
        for name in ("rejected", "never_given", "vanished", "stale", "changed"):
            given, known = getattr(self, name), get_args(Reaction)
            if given not in known and not (given is None and name in ("stale", "changed")):
                hint = did_you_mean(given, known) if isinstance(given, str) else ""
                raise PipelineError(
                    f"Limits: {name} is {given!r}, but must be 'fail' or 'warn'. {hint}".strip()
                )

    @property
    def look_at_tables(self) -> bool:
        """Whether a limit is about whole tables, not about what a run reads."""
        return self.freshness is not None or self.row_change is not None

    def __str__(self) -> str:
        """Return the limits in words."""
        lines = "" if self.rejected_lines is None else f" or {self.rejected_lines:,} lines"
        return (
            f"more than {self.rejected_share:.0%}{lines} rejected, or all of a file: "
            f"{self.rejected}; a column never given: {self.never_given}; "
            f"more than {self.vanished_share:.0%} of rows vanished: {self.vanished}"
            + (
                f"; newest event before {self.freshness}: {self.stale or 'warn'}"
                if self.freshness
                else ""
            )
            + (
                f"; more than {self.row_change:.0%} more or fewer rows: {self.changed or 'warn'}"
                if self.row_change is not None
                else ""
            )
            + f"; more than {self.lost_files_share:.0%} of known files gone: fail"
        )


@declares
@dataclass(frozen=True, repr=False)
class Source:
    """Raw files of one kind: one row per line, record or row of a file that is not blank; of JSON
    documents per element of the list that each is, with `rows` per element of a list inside.

    The table that a transform receives has a nullable column per field, of text unless `types` says
    more, `raw_line`, `source_file` (relative to the raw folder) and, for JSON, the boolean
    `is_object`; with `rows` also `is_element`, `position` and `line_digest`, for documents
    `position`, for JSON with `types` `is_unreadable`.

    Args:
        name: the parameter name under which transforms ask for it.
        files: glob patterns below the raw folder; at least one file must match. `**` stands for
            any number of folders, links to folders left out. Names of files that begin with `_`
            or `.` are passed over, and so are folders, unless the pattern spells that sign.
        format: `json_lines`, `json` (a file is one list of objects, or one object), `csv` (with a
            row of titles, or as `dialect` says), all of them also packed by gzip, `parquet`, or
            `delta`: then `files` are the folders of tables, or `database`: then they are databases
            of the target with a table or view, such as `crm/public.users`.
        fields: the columns. For JSON a mapping to the path of the value, outermost key first;
            a field that stands in two places is two columns; with `rows` a path that begins with
            that one is read in the element, the very path is the element. For Parquet and Delta
            the same of columns and parts of structs; a folder `month=2026-01` is a column too. For
            CSV `{"city": ("city",)}`: the names of the header; of databases those of columns.
        types: the types of fields that are not text, as contracts spell them or as Ibis does:
            `{"at": Instant, "seconds": "int64", "tags": "array<string>"}`. A format says which it
            reads: Parquet and Delta all that a table may have; JSON numbers, booleans, arrays and
            structs, and databases all but structs and maps, where a value of another type is null
            and `is_unreadable` is true in its row;
            what is text in its files, such as CSV, is cast in models.
        secret: JSON keys, or columns of CSV (read or not), whose values no table may hold: models
            may let them decide (filter, join or group by them, ask for them in a case), and in
            the text of rejected lines they are masked. `streampro check` and every run refuse
            models that would store them.
        limits: how much of its lines may be odd before a run fails or warns; see `Limits`.
        dialect: how files of CSV are written, None for RFC 4180 in UTF-8; see `Dialect`.
        rows: for JSON the path of a list: a row per element of it, none where it is empty, null or
            missing; what else stands there is a row whose `is_element` is false.
        key: of databases the fields that tell a row from all others: a run stops where one is null
            or repeated, and explanations name rows by them.
        append_only_by: of databases a field of integers that grows with each row: a run reads the
            rows above the greatest that runs have read, and whether those below are the same is
            asked of the database; where they are not, what depends on them is built anew.
    """

    name: str
    files: tuple[str, ...]
    format: str
    fields: Mapping[str, tuple[str, ...]]
    types: Mapping[str, Any] = field(default_factory=dict, repr=False, kw_only=True)
    secret: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    dialect: Dialect | None = None
    rows: tuple[str, ...] = ()
    key: tuple[str, ...] = field(default=(), kw_only=True)
    append_only_by: str | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        """Return what says how it is read; it is part of the code hash of models."""
        said = ["name", "files", "format", "fields", "secret"]
        said += ["rows"] if self.rows else []
        return f"Source({', '.join(f'{name}={getattr(self, name)!r}' for name in said)})"

    def __post_init__(self) -> None:
        for name in ("name", "format"):
            if not isinstance(given := getattr(self, name), str):
                raise self._unlike(name, given, "a text")
        if not isinstance(self.fields, Mapping):
            raise self._unlike("fields", self.fields, "a mapping of columns to where they stand")
        if unnamed := [name for name in self.fields if not isinstance(name, str)]:
            raise self._unlike("a name of fields", unnamed[0], "a text")
        paths = {f"fields[{name!r}]": path for name, path in self.fields.items()}
        names = ("files", "secret", "rows", "key")
        lists = {name: getattr(self, name) for name in names}
        for name, given in (lists | paths).items():
            if not _is_texts(given):
                meant = f", such as ({given!r},)" if isinstance(given, str) else ""
                raise self._unlike(name, given, f"a tuple of texts{meant}")
        if not isinstance(self.limits, Limits):
            raise self._unlike("limits", self.limits, "Limits(...)")
        if not isinstance(self.dialect, Dialect | None):
            raise self._unlike("dialect", self.dialect, "Dialect(...)")
        format_of(self)
        self._refuse_files_and_secrets()
        self._refuse_rows()
        self._refuse_names()
        for name, path in self.fields.items():
            if wanted := format_of(self).wanted_path(name, path):
                raise self._unlike(f"fields[{name!r}]", path, wanted)
        self._refuse_types()
        self._refuse_keys()
        if wanted := format_of(self).wanted_dialect(self):
            raise self._unlike("dialect", self.dialect, wanted)

    def _refuse_files_and_secrets(self) -> None:
        """Raise `PipelineError` for what no file and no key can be, and where nothing is read."""
        for name in ("files", "fields"):
            if not (given := getattr(self, name)):
                raise self._unlike(name, given, "of one at least")
        for each in self.files:
            if wanted := format_of(self).wanted_file(each):
                raise self._unlike("files", each, wanted)
        if not all(self.secret):
            raise self._unlike("secret", self.secret, "of keys with one sign at least")
        for name in ("files", "secret"):
            if twice := repeated(getattr(self, name)):
                raise PipelineError(f"source {self.name!r}: {name} names {twice!r} twice.")

    def _refuse_rows(self) -> None:
        """Raise `PipelineError` for a list that cannot be read, or of which nothing may be kept."""
        rows = tuple(self.rows)
        if not rows:
            return
        if not format_of(self).holds_lists:
            raise self._unlike("rows", self.rows, f"left out: {self.format} holds no lists")
        if not all(rows) or "\0" in "".join(rows):
            raise self._unlike("rows", self.rows, "of keys with one sign at least, and no NUL")
        hidden = {key.casefold() for key in self.secret}
        if secret := [key for key in rows if key.casefold() in hidden]:
            raise PipelineError(
                f"source {self.name!r}: its rows stand in the secret {secret[0]!r}, so nothing of "
                "them may be kept. Take the key out of `secret`, or read another list."
            )
        for name, path in self.fields.items():
            if len(path) < len(rows) and tuple(path) == rows[: len(path)]:
                raise self._unlike(
                    f"fields[{name!r}]", path, f"another path: the list {rows!r} stands in there"
                )

    def _refuse_names(self) -> None:
        """Raise `PipelineError` for names that are ours, and for fields that cannot be read."""
        if why := refused_table(self.name):
            raise PipelineError(f"source {self.name!r}: {why}.")
        given = {name.lower() for name in given_columns(self)}
        for name, path in self.fields.items():
            if not name or is_ours(name) or name.lower() in given:
                said = "a name that StreamPro gives" if name else "which is no name"
                raise PipelineError(f"source {self.name!r} has a field {name!r}, {said}.")
            if not path or not all(path) or "\0" in "".join(path):
                raise PipelineError(
                    f"source {self.name!r}: field {name!r} stands at {path!r}, but a key has at "
                    "least one sign, and no NUL."
                )
        if same := twins(self.fields):
            raise PipelineError(
                f"source {self.name!r}: fields {same[0]!r} and {same[1]!r} differ only in case, "
                "and engines do not tell them apart. Rename one; their keys may differ so."
            )

    def _refuse_types(self) -> None:
        """Raise `PipelineError` for a type that is none, that no table can have, or that the
        format does not read, and for one of a field that is not there.
        """
        if not isinstance(self.types, Mapping):
            raise self._unlike("types", self.types, "a mapping of fields to types")
        for name, given in self.types.items():
            if name not in self.fields:
                hint = did_you_mean(name, [*self.fields]) if isinstance(name, str) else ""
                raise self._unlike(
                    "a name of types", name, f"one of the fields. {hint}".strip(". ")
                )
            try:
                kind = column_types.type_of(given)
            except TypeError as error:
                wanted = f"a type, as 'int64': {error}"
                raise self._unlike(f"types[{name!r}]", given, wanted) from error
            why = column_types.refusal(kind) or format_of(self).refused_type(kind)
            if why:
                raise PipelineError(f"source {self.name!r}: types[{name!r}]: {why}.")

    def _refuse_keys(self) -> None:
        """Raise `PipelineError` for keys of what is no database, and of fields that are not there
        or cannot be one.
        """
        by = self.append_only_by
        for name, given in (("key", self.key), ("append_only_by", by)):
            if given and not self.is_in_database:
                raise self._unlike(name, given, "left out: it is for format 'database'")
        for name in (*self.key, *((by,) if by is not None else ())):
            if name not in self.fields:
                hint = did_you_mean(name, [*self.fields])
                raise self._unlike(
                    "a name of a key", name, f"one of the fields. {hint}".strip(". ")
                )
        known_by = {*self.key} | ({by} if by is not None else set())
        if secret := sorted(known_by & {*format_of(self).secret_fields(self)}):
            raise PipelineError(
                f"source {self.name!r}: {secret[0]!r} is secret, so rows cannot be known by it: "
                "messages and the ledger would tell it. Take it out of the key, or of `secret`."
            )
        if by is not None and re.search("[/=]", self.fields[by][0]):
            raise self._unlike(
                "the column of append_only_by", self.fields[by][0], "without / and ="
            )
        if by is not None and not self.kinds[by].is_integer():
            raise self._unlike("append_only_by", by, "a field of integers: say so in types")

    def _unlike(self, name: str, given: object, what: str) -> PipelineError:
        return PipelineError(f"source {self.name!r}: {name} is {given!r}, but must be {what}.")

    @property
    def is_in_database(self) -> bool:
        """Whether it reads tables of databases, so that nothing of it is in the raw folder."""
        return format_of(self).is_database

    @property
    def kinds(self) -> dict[str, dt.DataType]:
        """The type of every field, text where none is said."""
        return {
            name: column_types.nullable(column_types.type_of(self.types.get(name, "string")))
            for name in self.fields
        }

    @property
    def schema(self) -> ibis.Schema:
        """Columns and types of the table that a transform receives."""
        return ibis.schema(format_of(self).columns(self))

    @property
    def tells_unreadable(self) -> bool:
        """Whether the table has a column of its own that tells values of another type."""
        return "is_unreadable" in self.schema.names and "is_unreadable" not in self.fields

    @property
    def secret_fields(self) -> tuple[str, ...]:
        """The fields that are read from a secret key or column, or from within one."""
        return format_of(self).secret_fields(self)


def _is_texts(value: object) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return all(isinstance(each, str) for each in value)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


LENIENT = Limits(rejected="warn", never_given="warn", vanished="warn", lost_files_share=1)
