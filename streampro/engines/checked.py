"""All that can be told of a pipeline without data: what `check`, `run`, `plan`, `prove` refuse."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pkgutil import resolve_name
from typing import Any
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


@dataclass(frozen=True)
class Fingerprint:
    """Digests of all that `refuse_problems` looks at: where an engine could compute a model, it can
    with the same digests.

    Attributes:
        surroundings: of the engines, the packages that compile, and what a pipeline says of itself.
        models: per model of its code, its allowances, and of what it is built from.
    """

    surroundings: str
    models: Mapping[str, str]


_CHECKED: WeakKeyDictionary[Pipeline, dict[Any, _Checked]] = WeakKeyDictionary()
"""By the model that is asked for, None for all, and the models that are judged."""


def problems_of(
    pipeline: Pipeline,
    *engines: str,
    model: str | None = None,
    judged: Collection[str] | None = None,
) -> list[str]:
    """Return all that is wrong with a pipeline, a sentence each, and all that the named engines
    cannot compute, allowed or not. It is told once per pipeline and kept.

    Args:
        pipeline: what is asked about.
        engines: that are to compute it.
        model: of which alone, and of what it is built from, it is asked. Default: all.
        judged: the models whose operations are looked at, where the others are known to be as they
            should. Default: all.
    """
    known = _CHECKED.setdefault(pipeline, {})
    asked = (model, None if judged is None else frozenset(judged))
    told = known.get(asked)
    if told is None or not (told.problems or {*engines} <= told.beyond.keys()):
        part = pipeline if model is None else part_of(pipeline, model)
        names = [name for name in part.models if judged is None or name in judged]
        told = known[asked] = _checked(part, names)
    return told.problems or [each for engine in engines for each in told.beyond[engine]]


def refuse_problems(
    pipeline: Pipeline,
    *engines: str,
    model: str | None = None,
    judged: Collection[str] | None = None,
) -> None:
    """Raise `PipelineError` with all that `problems_of` returns, if there is any, and for questions
    that are not there, which no `model` has.
    """
    if model is None:
        _refuse_absent_questions(pipeline)
    if problems := problems_of(pipeline, *engines, model=model, judged=judged):
        raise PipelineError("\n".join(problems))


def fingerprint(pipeline: Pipeline, engine: str) -> Fingerprint:
    """Return the digests of a pipeline. Raises `PipelineError` for a model that cannot be built."""
    packages = [version(name) for name in ("streampro", "ibis-framework", "sqlglot")]
    code, models = pipeline.code_hashes(), dict[str, str]()
    for name, built in pipeline.models.items():
        inputs = [models[each] for each in built.inputs if each in models]
        models[name] = _digest(code[name], dict(built.allow), inputs)
    surroundings = _digest(engine, pipeline.name, pipeline.questions, [*ENGINES], packages)
    return Fingerprint(surroundings, models)


def _digest(*looked_at: object) -> str:
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


def _checked(pipeline: Pipeline, names: Sequence[str]) -> _Checked:
    if wrong := pipeline.problems() or leaks(pipeline):
        return _Checked([*wrong, *pipeline.unportable(dict.fromkeys(names, ()))], {})
    found = uncompiled(pipeline, names)
    beyond = {name: [said for each in found.values() for said in each[name]] for name in names}
    told = {engine: [*_told(pipeline, each)] for engine, each in found.items()}
    nowhere = [
        each
        for name in names
        if all(by[name] for by in found.values())
        for each in _told(pipeline, {name: beyond[name]})
    ]
    return _Checked([*dict.fromkeys([*pipeline.unportable(beyond), *nowhere])], told)


def _told(pipeline: Pipeline, found: Mapping[str, list[str]]) -> Iterator[str]:
    for name, said in found.items():
        yield from (f"{pipeline.models[name].table}: {each}" for each in said)
