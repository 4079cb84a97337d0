"""Dimensions over time: from dated rows to versions."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

import ibis
import ibis.expr.types as ir

from streampro.errors import PipelineError, did_you_mean

_NAMES = ("valid_from", "valid_to", "is_current")


def versions_of(rows: ir.Table, key: str | Sequence[str], at: str) -> ir.Table:
    """Return one row per `key` and time in which its other columns stay the same; instead of `at`
    it has `valid_from`, `valid_to` and `is_current`.

    `rows` say what a thing was `at` an instant or a day. A version is valid from the first row that
    says so, inclusive, to the first that says something else, exclusive; `valid_to` is null and
    `is_current` true for what nothing was said after. What comes again later is a version of its
    own. The key of the result is `key` and `valid_from`; a join by key takes
    `valid_from <= at < valid_to`, where null has no end.

    The same for any order and repetition of rows, and for any split into files and runs: a row that
    arrives late divides the version that it falls into. A model of it may be `incremental_by` a
    column of `key`. Of several rows of one key and instant the one counts whose other columns are
    largest, compared from left to right, null last. Rows without `at` or a part of `key` do not
    count. A thing that is no longer told of stays current: say that it is gone by a column, as the
    tables of models with `observed_at` do.

    ```python
    versions = portable.versions_of(prices, key="product_id", at="changed_at")
    ```

    Raises `PipelineError` for columns that `rows` has not, and for columns of theirs that are
    called as the new ones are.
    """
    keys = [key] if isinstance(key, str) else [*key]
    _refuse_misfits(rows, [*keys, at])
    told = [name for name in rows.columns if name not in (*keys, at)]
    dated = rows.filter(*(rows[name].notnull() for name in (*keys, at))).distinct()
    if told:
        dated = _largest_of_an_instant(dated, keys, at, told)
    in_time = ibis.window(group_by=keys, order_by=at)
    is_first = dated[at].lag().over(in_time).isnull()
    differs = (~dated[name].identical_to(dated[name].lag().over(in_time)) for name in told)
    begins = dated.filter(reduce(or_, differs, is_first))
    lasting = begins.select(
        *keys, *told, valid_from=begins[at], valid_to=begins[at].lead().over(in_time)
    )
    return lasting.mutate(is_current=lasting.valid_to.isnull())


def _largest_of_an_instant(
    dated: ir.Table, keys: Sequence[str], at: str, told: Sequence[str]
) -> ir.Table:
    of_instant = ibis.window(group_by=[*keys, at], order_by=[ibis.desc(name) for name in told])
    return dated.filter(ibis.row_number().over(of_instant) == 0)


def _refuse_misfits(rows: ir.Table, named: Sequence[str]) -> None:
    for name in named:
        if name not in rows.columns:
            raise PipelineError(
                f"portable.versions_of: there is no column {name!r}. "
                f"{did_you_mean(name, rows.columns)}Columns: {', '.join(rows.columns)}."
            )
    if taken := [name for name in _NAMES if name in rows.columns]:
        raise PipelineError(
            f"portable.versions_of: the rows have {', '.join(taken)} already. Rename it first."
        )
