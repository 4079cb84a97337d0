"""All that can be told of a pipeline without data: what `check`, `run`, `plan`, `prove` refuse."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pkgutil import resolve_name
from weakref import WeakKeyDictionary

from streampro.engines.compiled import uncompiled
from streampro.engines.registry import ENGINES
from streampro.errors import PipelineError
from streampro.modeling.columns.secrets import leaks
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.selection import part_of


@dataclass(frozen=True)
class _Checked:
    """What is wrong with a pipeline, and what else it cannot do, by engine."""

    problems: list[str]
    beyond: Mapping[str, list[str]]


_CHECKED: WeakKeyDictionary[Pipeline, dict[str | None, _Checked]] = WeakKeyDictionary()
"""By the model that is asked for, None for all."""


def problems_of(pipeline: Pipeline, *engines: str, model: str | None = None) -> list[str]:
    """Return all that is wrong with a pipeline, a sentence each, and all that the named engines
    cannot compute, allowed or not; with `model` of that model and of what it is built from. It is
    told once per pipeline and kept.
    """
    known = _CHECKED.setdefault(pipeline, {})
    told = known.get(model)
    if told is None or not (told.problems or {*engines} <= told.beyond.keys()):
        part = pipeline if model is None else part_of(pipeline, model)
        told = known[model] = _checked(part)
    return told.problems or [each for engine in engines for each in told.beyond[engine]]


def refuse_problems(pipeline: Pipeline, *engines: str, model: str | None = None) -> None:
    """Raise `PipelineError` with all that `problems_of` returns, if there is any, and for questions
    that are not there, which no `model` has.
    """
    if model is None:
        _refuse_absent_questions(pipeline)
    if problems := problems_of(pipeline, *engines, model=model):
        raise PipelineError("\n".join(problems))


def fingerprint(pipeline: Pipeline, engine: str) -> str:
    """Return a digest of all that `refuse_problems` looks at: models, allowances, engines, and the
    packages that compile. Where `engine` could compute all, it can with the same fingerprint.

    Raises `PipelineError` for a model that cannot be built.
    """
    allowed = {name: dict(model.allow) for name, model in pipeline.models.items()}
    packages = [version(name) for name in ("streampro", "ibis-framework", "sqlglot")]
    looked_at = (
        engine,
        (pipeline.name, pipeline.questions),
        pipeline.code_hashes(),
        allowed,
        [*ENGINES],
        packages,
    )
    return hashlib.sha256(repr(looked_at).encode()).hexdigest()[:16]


def _refuse_absent_questions(pipeline: Pipeline) -> None:
    """Raise `PipelineError` where `Pipeline(questions=...)` names what cannot be imported."""
    if not pipeline.questions:
        return
    try:
        resolve_name(pipeline.questions)
    except (ImportError, AttributeError) as error:
        raise PipelineError(
            f"pipeline {pipeline.name!r}: questions is {pipeline.questions!r}, which cannot be "
            f"imported: {error}."
        ) from error


def _checked(pipeline: Pipeline) -> _Checked:
    if wrong := pipeline.problems() or leaks(pipeline):
        return _Checked([*wrong, *pipeline.unportable()], {})
    found = uncompiled(pipeline)
    beyond = {
        name: [said for each in found.values() for said in each[name]] for name in pipeline.models
    }
    told = {engine: [*_told(pipeline, each)] for engine, each in found.items()}
    nowhere = [
        each
        for name in pipeline.models
        if all(by[name] for by in found.values())
        for each in _told(pipeline, {name: beyond[name]})
    ]
    return _Checked([*dict.fromkeys([*pipeline.unportable(beyond), *nowhere])], told)


def _told(pipeline: Pipeline, found: Mapping[str, list[str]]) -> Iterator[str]:
    for name, said in found.items():
        yield from (f"{pipeline.models[name].table}: {each}" for each in said)
