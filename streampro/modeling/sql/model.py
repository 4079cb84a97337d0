"""Models whose rows are a query in SQL."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, overload

import ibis.expr.types as ir

from streampro.arguments import declares
from streampro.errors import PipelineError, blamed, place_of, shown_place
from streampro.modeling.contract import Contract
from streampro.modeling.model import GONE, Model, model
from streampro.modeling.spec import spec_of
from streampro.modeling.sql.text import Text

_Texts = Callable[[], str]


@overload
def sql_model(
    file: str,
    *,
    contract: type[Contract],
    incremental_by: str | None = None,
    quarantine: bool = False,
    key_in: Mapping[str, str] | None = None,
    allow: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    owner: str | None = None,
    observed_at: str | None = None,
) -> Model: ...
@overload
def sql_model(
    file: None = None,
    *,
    contract: type[Contract],
    incremental_by: str | None = None,
    quarantine: bool = False,
    key_in: Mapping[str, str] | None = None,
    allow: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    owner: str | None = None,
    observed_at: str | None = None,
) -> Callable[[_Texts], Model]: ...
@declares
def sql_model(
    file: str | None = None,
    *,
    contract: type[Contract],
    incremental_by: str | None = None,
    quarantine: bool = False,
    key_in: Mapping[str, str] | None = None,
    allow: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    owner: str | None = None,
    observed_at: str | None = None,
) -> Model | Callable[[_Texts], Model]:
    """Make a model of a query in SQL: of a file beside the module, whose name is the table, or of
    the text that a function returns, whose name is the table. The tables that the query names are
    its inputs; the module is the layer.

    ```python
    revenue = sql_model("revenue.sql", contract=Revenue)

    @sql_model(contract=Visits)
    def visits() -> str:
        return "SELECT day, count(*) AS visits FROM sessions GROUP BY day"
    ```

    The query is read in DuckDB's dialect, with tables also named as in dbt, `{{ ref('sessions') }}`
    or `{{ source('raw', 'events') }}`, and becomes the Ibis expression that it says, so that
    checks, lineage, incremental runs and both engines know it as any other. Names are found
    whatever their case; integers are int64; a number with a point is a decimal beside decimals,
    else a float; a division by zero is null; sums and means of floats are those of `portable`;
    where ORDER BY leaves rows tied, LIMIT takes them in the order of their columns. A column
    without a name is called as the contract's at its place.

    Args:
        file: name of the file; without it this stands above a function.
        contract: as of `model`.
        incremental_by: as of `model`.
        quarantine: as of `model`.
        key_in: as of `model`.
        allow: as of `model`.
        tags: as of `model`.
        owner: as of `model`.
        observed_at: as of `model`.

    Raises `PipelineError`, with line and column, for a text that is no query or holds what is not
    known here.
    """
    declare = model(
        contract=contract,
        incremental_by=incremental_by,
        quarantine=quarantine,
        key_in=key_in,
        allow=allow,
        tags=tags,
        owner=owner,
        observed_at=observed_at,
    )

    def columns() -> list[str]:
        added = (observed_at, GONE) if observed_at else ()
        return [name for name in spec_of(contract).schema if name not in added]

    if file is not None:
        if not file or Path(file).name != file:
            raise PipelineError(
                f"sql_model({file!r}): write the name of a file beside the module, such as "
                '"revenue.sql".'
            )
        caller = _caller()
        path = Path(str(caller.f_globals.get("__file__", ""))).with_name(file)
        module = str(caller.f_globals.get("__name__", ""))
        text = Text(_read(path), shown_place(str(path)), is_file=True)
        return declare(_transform(text, path.stem, module, columns))

    def of_function(function: _Texts) -> Model:
        if not inspect.isfunction(function) or inspect.signature(function).parameters:
            raise PipelineError(
                "@sql_model stands above a function without parameters that returns the text of a "
                'query; a file is named: sql_model("revenue.sql", contract=...).',
                place_of(function),
            )
        place = place_of(function)
        with blamed(f"@sql_model: {function.__name__}", function):
            sql = function()
        if not isinstance(sql, str):
            kind = type(sql).__name__
            raise PipelineError(f"@sql_model: the function returns a {kind}, no text.", place)
        made = _transform(Text(sql, place), function.__name__, function.__module__, columns)
        made.__doc__ = function.__doc__
        return declare(made)

    return of_function


def _transform(
    text: Text, name: str, module: str, columns: Callable[[], list[str]]
) -> Callable[..., ir.Table]:
    """Return the function that a query is; `columns` are those of its contract."""
    inputs = text.tables

    def transform(*args: ir.Table, **given: ir.Table) -> ir.Table:
        tables = dict(zip(inputs, args, strict=False)) | given
        return text.rows(tables, columns())

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(each, kind) for each in inputs]
    made: Any = transform
    made.__signature__, made.__place__ = inspect.Signature(parameters), text.place
    made.__name__, made.__module__ = name, module
    made.__sql__ = text.sql  # what a reader is shown as its code
    return transform


def _caller() -> FrameType:
    """Return the frame that calls `sql_model`, through what checks its arguments."""
    frame: FrameType | None = sys._getframe(1)
    while frame and frame.f_globals.get("__name__") in (__name__, "streampro.arguments"):
        frame = frame.f_back
    assert frame
    return frame


def _read(path: Path) -> str:
    if path.suffix != ".sql":
        raise PipelineError(f"sql_model({path.name!r}): the file of a query ends in .sql.")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # no UTF-8, or a sign that no path has
        raise PipelineError(f"{path} cannot be read: {error}") from error
