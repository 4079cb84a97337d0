"""The SQL that an engine computes a model with."""

import ibis
import ibis.expr.types as ir

from streampro.engines.registry import ENGINES, compiled_query
from streampro.errors import ConfigError, did_you_mean
from streampro.expressions.nulls import may_be_null
from streampro.modeling.model import Model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import outcomes


def compiled(pipeline: Pipeline, model: str, engine: str) -> str:
    """Return the SQL that a full run computes a model with, which needs neither engine nor data.

    `model` is `name` or `layer.name`, `engine` `duckdb` or `spark`. Tables are named `layer.table`,
    the text of a source by the source; of a quarantine model it is the query whose rows are split
    into accepted and rejected ones. Raises `ConfigError` for an unknown model or engine.
    """
    if engine not in ENGINES:
        raise ConfigError(f"there is no engine {engine!r}; {', '.join(ENGINES)}.")
    built = _model(pipeline, model)
    rows = built(**{name: _input(pipeline, name) for name in built.inputs})
    if built.quarantine:
        rows = outcomes(built, rows, pipeline.source_of(built).secret)
    return compiled_query(engine, rows)


def _model(pipeline: Pipeline, name: str) -> Model:
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
