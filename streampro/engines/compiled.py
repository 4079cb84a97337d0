"""The SQL that an engine computes a model with."""

from collections.abc import Iterable
from traceback import walk_tb

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.exceptions import OperationNotDefinedError

from streampro.engines.registry import ENGINES, compiled_query
from streampro.errors import ConfigError, PipelineError, did_you_mean
from streampro.expressions.nulls import may_be_null
from streampro.expressions.python import sql_part
from streampro.modeling.audit import audit
from streampro.modeling.model import Model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import judged, outcomes


def compiled(pipeline: Pipeline, model: str, engine: str) -> str:
    """Return the SQL that a full run computes a model with, which needs neither engine nor data.

    `model` is `name` or `layer.name`, `engine` `duckdb` or `spark`. Tables are named `layer.table`,
    the text of a source by the source; of a quarantine model it is the query whose rows are split
    into accepted and rejected ones. Raises `ConfigError` for an unknown model or engine.
    """
    if engine not in ENGINES:
        raise ConfigError(f"there is no engine {engine!r}; {', '.join(ENGINES)}.")
    built = model_of(pipeline, model)
    return compiled_query(engine, _rows(pipeline, built))


def compiled_everywhere(pipeline: Pipeline, model: str) -> dict[str, str]:
    """Return by engine the SQL that `compiled` returns, or why an engine makes none, as a comment.
    Raises `ConfigError` for an unknown model.
    """
    rows = _rows(pipeline, model_of(pipeline, model))
    found = {engine: _sql_or_refusal(engine, rows) for engine in ENGINES}
    return {engine: sql or f"-- {why}" for engine, (sql, why) in found.items()}


def uncompiled(pipeline: Pipeline, names: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Return by engine and named model what an engine has no SQL for, in the model or in its audit,
    a sentence each that begins with the operation. It needs neither engines nor data.
    """
    queries = {name: _queries(pipeline, pipeline.models[name]) for name in names}
    return {
        engine: {
            name: [
                *dict.fromkeys(said for rows in both if (said := _sql_or_refusal(engine, rows)[1]))
            ]
            for name, both in queries.items()
        }
        for engine in ENGINES
    }


def _queries(pipeline: Pipeline, built: Model) -> tuple[ir.Table, ir.Table]:
    """Return what an engine computes of a model, and its audit."""
    inputs = {name: _input(pipeline, name) for name in (built.name, *built.inputs)}
    return _rows(pipeline, built), audit(built.contract, inputs[built.name], inputs)


def _rows(pipeline: Pipeline, built: Model) -> ir.Table:
    """Return what an engine computes of a model, over inputs as it gives them."""
    rows = sql_part(built(**{name: _input(pipeline, name) for name in built.inputs}))
    if not built.quarantine:
        return rows
    return outcomes(judged(built, rows, pipeline.source_of(built).secret))


def _sql_or_refusal(engine: str, rows: ir.Table) -> tuple[str | None, str | None]:
    """Return the SQL that an engine's compiler makes of an expression, or why it makes none."""
    try:
        return compiled_query(engine, rows), None
    except Exception as error:  # whatever a compiler raises
        frames = (frame.f_locals.get("op") for frame, _ in walk_tb(error.__traceback__))
        operations = [type(each).__name__ for each in frames if isinstance(each, ops.Node)]
        if isinstance(error, OperationNotDefinedError):
            return None, f"{operations[-1]}: {engine} has no such operation. Use others."
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if isinstance(error, PipelineError):
            why = str(error)
        if isinstance(error, RecursionError):
            why = "one thing stands in another too often. Compute some in a model of their own."
        what = operations[-1] if operations else "Table"
        return None, f"{what}: {engine} makes no SQL of it: {why}"


def model_of(pipeline: Pipeline, name: str) -> Model:
    """Return the model of a name or `layer.name`. Raises `ConfigError` where there is none."""
    for model in pipeline.models.values():
        if name in (model.name, model.table):
            return model
        if model.quarantine and name in (model.rejected.name, str(model.rejected)):
            raise ConfigError(
                f"{model.rejected} has no query of its own: it is split from that of "
                f"{model.name!r}. Ask for {model.name}."
            )
    meant = did_you_mean(name.rpartition(".")[2], list(pipeline.models))
    raise ConfigError(
        f"pipeline {pipeline.name!r} has no model {name!r}. {meant}"
        f"Models: {', '.join(pipeline.models)}."
    )


def _input(pipeline: Pipeline, name: str) -> ir.Table:
    """Return an input as an engine gives it to a model: any column may be null."""
    source, model = pipeline.sources.get(name), pipeline.models.get(name)
    schema = source.schema if source else pipeline.models[name].spec.schema
    return ibis.table(may_be_null(schema), name=name, database=model.table.layer if model else None)
