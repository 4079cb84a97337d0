"""What becomes of every input line: accepted, a duplicate, or rejected with a reason."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import ibis
import ibis.expr.types as ir

from streampro.arguments import declares
from streampro.errors import BooksError, PipelineError, did_you_mean
from streampro.expressions.types import as_declared, as_stored, comparable
from streampro.formats.format import RAW_COLUMNS
from streampro.modeling.audit import with_reasons
from streampro.modeling.model import DUPLICATE, REJECT_COLUMNS, UNREADABLE, Model
from streampro.names import named, ours
from streampro.portable import mask_json_value

_SEPARATOR = "\x1f"
NUL = "\0"
"""The sign that no text has: what holds it is binary, or in UTF-16."""
NOT_TEXT = "not_utf8_text"
"""Why a line that holds one is rejected, whatever else its model says of it."""
REJECTION, COPIES, UNREADABLE_LINES = ours("rejection"), ours("copies"), ours("unreadable")
"""Columns of `judged` lines and their `outcomes` beside the contract's."""
_IS_NEW = ours("is_new")


@dataclass(frozen=True)
class Books:
    """The account of one source in one run. Each number is counted by itself.

    Attributes:
        source: name of the source.
        lines: lines (records) that are not blank, counted in a pass of their own.
        accepted: rows of the staged table.
        duplicates: lines equal to an accepted one, beyond the first.
        rejected: rows of the staged `_rejected` table.
        reasons: rejected lines by reason.
        warnings: lines of any fate by what was odd about them.
        elements: of a source with `rows` the elements of the lists in its lines, and lines in which
            is something else: what is accepted, a duplicate or rejected; null for other sources.
    """

    source: str
    lines: int
    accepted: int
    duplicates: int
    rejected: int
    reasons: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    elements: int | None = None

    @property
    def records(self) -> int:
        """What is accounted for: the elements, or the lines where there are none."""
        return self.lines if self.elements is None else self.elements

    def __add__(self, other: "Books") -> "Books":
        """Return the account of the lines of both, of one source."""
        return replace(
            self,
            lines=self.lines + other.lines,
            accepted=self.accepted + other.accepted,
            duplicates=self.duplicates + other.duplicates,
            rejected=self.rejected + other.rejected,
            elements=None if self.elements is None else self.elements + (other.elements or 0),
            reasons=_sum(self.reasons, other.reasons),
            warnings=_sum(self.warnings, other.warnings),
        )

    def check(self) -> None:
        """Raise `BooksError` unless every line is accounted for once."""
        total = self.accepted + self.duplicates + self.rejected
        if self.records != total or sum(self.reasons.values()) != self.rejected:
            raise BooksError(
                f"the books of {self.source} do not balance: {self.records} "
                f"{'lines' if self.elements is None else 'elements'}, but "
                f"{self.accepted} accepted + {self.duplicates} duplicates + {self.rejected} "
                f"rejected = {total}. Nothing was published. If a file grew while it was read, "
                "run again."
            )


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted({*left, *right})}


@declares
def one_row_per_key(rows: ir.Table, key: str) -> ir.Table:
    """Add the reject reason to the typed rows of a small table that has a key.

    Of the rows with one key the smallest counts (columns in order, nulls last), the others are
    `repeated_key`; equal rows are duplicates, of which the one with the smallest raw line and file
    stands for all. Rows without a key are `missing_<key>`. `rows` are the contract's columns,
    `raw_line`, `source_file`, and `is_unreadable` where the model tells it.

    Raises `PipelineError` for a column that is not there, and for columns of lists, structs or
    maps, which engines sort differently.
    """
    if missing := [name for name in (key, *RAW_COLUMNS) if name not in rows.columns]:
        raise PipelineError(
            f"one_row_per_key: the rows have no column {missing[0]!r}. "
            f"{did_you_mean(missing[0], rows.columns)}Select it before."
        )
    kept = [name for name in (UNREADABLE,) if name in rows.columns]
    columns = [name for name in rows.columns if name not in (*REJECT_COLUMNS, UNREADABLE)]
    if nested := [name for name in columns if rows[name].type().is_nested()]:
        raise PipelineError(
            f"one_row_per_key: which row is smallest is not told by {', '.join(nested)}, because "
            "engines sort lists, structs and maps differently. Make them in a model built from it."
        )
    ordered = ibis.window(group_by=key, order_by=columns)
    copies = ibis.window(group_by=columns, order_by=["raw_line", "source_file"])
    reason = ibis.cases(
        (rows[key].isnull(), f"missing_{key}"),
        (ibis.row_number().over(copies) > 0, DUPLICATE),
        (ibis.dense_rank().over(ordered) > 0, "repeated_key"),
    )
    return rows.mutate(reject_reason=reason).select(*columns, *REJECT_COLUMNS, *kept)


@dataclass(frozen=True)
class Fates:
    """What becomes of the lines that a quarantine model reads: each is accepted, a duplicate or
    rejected. The run, the lineage and explanations all read it from here.

    Attributes:
        rows: what the model returns, with a reason too where a row breaks a rule of severity
            `quarantine`.
    """

    rows: ir.Table

    @property
    def accepted(self) -> ir.BooleanValue:
        """True for lines whose row is stored, if it is not stored yet."""
        return self.rows.reject_reason.isnull()

    @property
    def duplicate(self) -> ir.BooleanValue:
        """True for lines that the model says repeat another."""
        return self.rows.reject_reason == DUPLICATE

    @property
    def rejected(self) -> ir.BooleanValue:
        """True for lines that are kept in the table of rejected lines."""
        return self.rows.reject_reason.notnull() & (self.rows.reject_reason != DUPLICATE)


def is_judged(model: Model, rows: ir.Table) -> bool:
    """Tell whether lines are judged by a model, and `rows` has what that takes."""
    return model.quarantine and {*REJECT_COLUMNS} <= {*rows.columns}


def fates(model: Model, rows: ir.Table) -> Fates:
    """Return the fates of lines, of which `rows` is what a quarantine model returns. Lines are
    judged, and repeat each other, by what is stored of them; what is no text is rejected.
    """
    judged = with_reasons(model.contract, as_stored(rows))
    reason = ibis.cases((judged.raw_line.contains(NUL), NOT_TEXT), else_=judged.reject_reason)
    return Fates(judged.mutate(reject_reason=reason))


def masked(text: ir.StringValue, secret: Iterable[str]) -> ir.StringValue:
    """Return the text of lines without the values of secret keys.

    Of a line with a NUL, as of every line in UTF-16, only its length in characters and its MD5 are
    kept: a key that is spelled so is not known again.
    """
    length, digest = text.length().cast("string"), text.hexdigest("md5")
    unknown = ibis.literal("text with NUL, ") + length + " characters, MD5 " + digest
    known = text
    for key in secret:
        known = mask_json_value(known, key)
    return ibis.cases((text.contains(NUL), unknown), else_=known)


def judged(model: Model, rows: ir.Table, secret: Iterable[str]) -> ir.Table:
    """Return one row per line that a quarantine model reads, `rows` being what it returns.

    Columns: the contract's; `REJECTION`, null where accepted, else reason, file and text (values of
    `secret` keys masked) in one text, because every further column to group by costs time;
    `COPIES`, 1; `UNREADABLE_LINES`, 1 where a value could not be read, else 0.
    """
    rows = fates(model, rows).rows
    text = masked(rows.raw_line, secret)
    place = _SEPARATOR + rows.source_file.fill_null("") + _SEPARATOR
    packed = rows.reject_reason + place + text.fill_null("")
    one, zero = ibis.literal(1, "int64"), ibis.literal(0, "int64")
    unreadable = ibis.ifelse(rows[UNREADABLE], one, zero) if UNREADABLE in rows.columns else zero
    rejection = ibis.cases((rows.reject_reason.notnull(), packed))
    counted = {REJECTION: rejection, COPIES: one, UNREADABLE_LINES: unreadable}
    return rows.mutate(named(counted)).select(*model.spec.schema, *counted)


def outcomes(judged: ir.Table) -> ir.Table:
    """Return one row per distinct outcome of judged lines, with its number of lines.

    Grain: an accepted row, or a rejected line of a file. Columns as in `judged`; `COPIES` are the
    lines with this outcome, `UNREADABLE_LINES` those of them in which a value could not be read.
    """
    return _distinct(judged, [REJECTION])


def settled(repeats: ir.Table, accepted: ir.Table) -> ir.Table:
    """Return the outcomes of judged lines that may repeat accepted rows or each other: what is
    accepted already is a duplicate. `accepted` need only hold the rows that are in both.
    """
    new, old = (ibis.literal(is_new).name(_IS_NEW) for is_new in (True, False))
    both = repeats.mutate(new).union(accepted.mutate(old))
    is_new = both[_IS_NEW]
    found = _distinct(both, [], is_new, is_new.all().name(_IS_NEW))
    repeated = ibis.literal(f"{DUPLICATE}{_SEPARATOR}{_SEPARATOR}")
    marked = found.mutate(ibis.cases((~found[_IS_NEW], repeated)).name(REJECTION))
    return marked.filter(marked[COPIES] > 0).select(*repeats.columns)


def rejected_lines(outcomes: ir.Table) -> ir.Table:
    """Return `reject_reason, raw_line, source_file`, a row per rejected line, no duplicates."""
    unpacked = _unpacked(outcomes.filter(outcomes[REJECTION].notnull()))
    kept = unpacked.filter(unpacked.reject_reason != DUPLICATE)
    copies = ibis.range(0, kept[COPIES]).unnest().name(COPIES)
    return kept.mutate(copies).select(*REJECT_COLUMNS)


def tally(outcomes: ir.Table) -> ir.Table:
    """Return per `reject_reason` (null: accepted) `outcomes`, `lines` and `unreadable` lines."""
    reasons = _unpacked(outcomes)
    return reasons.group_by("reject_reason").aggregate(
        outcomes=reasons.count(),
        lines=reasons[COPIES].sum(),
        unreadable=reasons[UNREADABLE_LINES].sum(),
    )


def _distinct(
    rows: ir.Table, by: Iterable[str], where: ir.BooleanValue | None = None, *found: ir.Value
) -> ir.Table:
    """Return rows that are equal in the columns of the contract, and in `by`, as one; counted are
    the lines of those `where` it is true.
    """
    own = (REJECTION, COPIES, UNREADABLE_LINES, _IS_NEW)
    columns = [(name, kind) for name, kind in rows.schema().items() if name not in own]
    grouped = rows.group_by(*(comparable(rows[name]) for name, _ in columns), *by)
    unreadable = rows[UNREADABLE_LINES].sum(where=where)
    counted = {COPIES: rows.count(where=where), UNREADABLE_LINES: unreadable}
    result = grouped.aggregate(*named(counted), *found)
    maps = [as_declared(result[name], kind) for name, kind in columns if kind.is_map()]
    return result.mutate(*maps) if maps else result


def _unpacked(outcomes: ir.Table) -> ir.Table:
    parts = outcomes[REJECTION].split(_SEPARATOR)
    reason, file = parts[0], parts[1]
    return outcomes.mutate(
        reject_reason=reason,
        source_file=file,
        raw_line=outcomes[REJECTION].substr(reason.length() + file.length() + 2),
    )
