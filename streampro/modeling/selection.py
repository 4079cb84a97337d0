"""Which models `--select` and `--exclude` name: `+revenue`, `tag:daily`."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING

from streampro.errors import PipelineError, did_you_mean
from streampro.modeling.model import Model

if TYPE_CHECKING:
    from streampro.modeling.pipeline import Pipeline

Published = Callable[[int | None], Mapping[str, str]]
"""Returns the digest of the code of each model that a run published, of the newest for None."""
STATE = "state"
CHANGED = "changed"


def selected(
    pipeline: "Pipeline", select: str | None, exclude: str | None, published: Published | None
) -> list[Model]:
    """Return the models of a selector without those of another, in building order.

    Raises `PipelineError` for what names nothing, and where nothing is left. What has changed may
    be nothing.
    """
    chosen = {*pipeline.models}
    if select is not None:
        chosen = _Words(pipeline, "--select", published).names(select)
    if exclude is not None:
        chosen -= _Words(pipeline, "--exclude", published).names(exclude)
    if not chosen and f"{STATE}:" not in f"{select} {exclude}":
        asked = " ".join(["--select", select] if select else [])
        raise PipelineError(f"{asked} --exclude {exclude}".strip() + " leaves no model.")
    return [model for name, model in pipeline.models.items() if name in chosen]


def built_from(pipeline: "Pipeline", name: str) -> set[str]:
    """Return the names of all that a model is built from."""
    found, more = set[str](), {name}
    while more:
        inputs = {item for each in more for item in pipeline.models[each].inputs}
        more = (inputs & pipeline.models.keys()) - found
        found |= more
    return found


def part_of(pipeline: "Pipeline", name: str) -> "Pipeline":
    """Return the pipeline of a model and all that it is built from, without questions and exports:
    the expressions of other models are not even made.
    """
    part = copy(pipeline)
    part.models = {each.name: each for each in pipeline.built_from(name)}
    part.sources = {each.name: each for each in pipeline.read(part.models.values())}
    part.questions, part.exports = None, ()
    for kept in ("expressions", "_code_hashes"):
        part.__dict__.pop(kept, None)
    return part


def built_with(pipeline: "Pipeline", name: str) -> set[str]:
    """Return the names of all that is built from a model."""
    return {other for other in pipeline.models if name in built_from(pipeline, other)}


def with_readers(pipeline: "Pipeline", name: str) -> set[str]:
    """Return a model, all it is built from, and what else reads the sources of these, which have
    one account for all that read them.
    """
    chosen, more = set[str](), {name}
    while more:
        chosen |= {each for new in more for each in (new, *built_from(pipeline, new))}
        more = _readers(pipeline, chosen) - chosen
    return chosen


def impaired(pipeline: "Pipeline", broken: Collection[str]) -> set[str]:
    """Return models that cannot be built, what is built from them, and what else reads their
    sources.
    """
    chosen, more = set[str](), {*broken}
    while more:
        chosen |= {each for new in more for each in (new, *built_with(pipeline, new))}
        more = _readers(pipeline, chosen) - chosen
    return chosen


def _readers(pipeline: "Pipeline", names: Collection[str]) -> set[str]:
    models = pipeline.models
    sources = {item for name in names for item in models[name].inputs if item in pipeline.sources}
    return {name for name, model in models.items() if sources & {*model.inputs}}


class _Words:
    """The words of an option, each with the models that it stands for."""

    def __init__(self, pipeline: "Pipeline", option: str, published: Published | None) -> None:
        self.pipeline = pipeline
        self.option = option
        self.published = published

    def names(self, selector: str) -> set[str]:
        """Return the names of the models of a selector."""
        parts = selector.replace(",", " ").split()
        if not parts:
            raise PipelineError(f"{self.option} {selector!r} names no model.")
        return set[str]().union(*map(self._around, parts))

    def _around(self, part: str) -> set[str]:
        """Return what a word names, with what it is built from or what is built from it."""
        chosen = found = self._found(part)
        for name in found:
            if part.startswith("+"):
                chosen = chosen | with_readers(self.pipeline, name)
            if part.endswith("+"):
                chosen = chosen | built_with(self.pipeline, name)
        return chosen

    def _found(self, part: str) -> set[str]:
        asked = part.strip("+")
        if asked in self._of_names:
            return {self._of_names[asked]}
        method, colon, word = asked.partition(":")
        if colon and method == STATE:
            return self._changed(part, word)
        if not colon or method not in self._of_words:
            known = [*self._of_names, *self._of_words]
            raise PipelineError(
                f"{self.option} {part}: pipeline {self.pipeline.name!r} has no model {asked!r}. "
                f"{did_you_mean(asked, known)}Models: {', '.join(self.pipeline.models)}."
            )
        words = self._of_words[method]
        if word not in words:
            has = f"{method}s: {', '.join(words)}" if words else f"It has no {method} at all"
            raise PipelineError(
                f"{self.option} {part}: pipeline {self.pipeline.name!r} has no {method} {word!r}. "
                f"{did_you_mean(word, list(words))}{has[0].upper()}{has[1:]}."
            )
        return words[word]

    def _changed(self, part: str, word: str) -> set[str]:
        """Return the models whose code is not that of the newest run, or of `changed@RUN`."""
        state, at, run = word.partition("@")
        if state != CHANGED or (at and not run.isdecimal()):
            raise PipelineError(
                f"{self.option} {part}: `{STATE}:{CHANGED}` and `{STATE}:{CHANGED}@RUN` are known."
            )
        if self.published is None:
            raise PipelineError(f"{self.option} {part}: there is no warehouse to compare with.")
        before = self.published(int(run) if run else None)
        now = self.pipeline.code_hashes()
        return {name for name in self.pipeline.models if before.get(name) != now[name]}

    @cached_property
    def _of_names(self) -> dict[str, str]:
        tables: dict[str, str] = {model.table: name for name, model in self.pipeline.models.items()}
        return tables | {name: name for name in self.pipeline.models}

    @cached_property
    def _of_words(self) -> dict[str, dict[str, set[str]]]:
        return words(self.pipeline)


def words(pipeline: "Pipeline") -> dict[str, dict[str, set[str]]]:
    """Return the words that stand for several models, `tag:daily` as `{"tag": {"daily": ...}}`."""
    found: dict[str, dict[str, set[str]]] = {
        method: defaultdict(set) for method in ("tag", "owner", "layer", "source")
    }
    for name, model in pipeline.models.items():
        named = {
            "tag": model.tags,
            "owner": (model.owner,) if model.owner else (),
            "layer": (model.table.layer,),
            "source": [item for item in model.inputs if item in pipeline.sources],
        }
        for method, each in named.items():
            for word in each:
                found[method][word].add(name)
    return {method: dict(each) for method, each in found.items()}
