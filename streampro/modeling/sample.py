"""A sample of keys, for work in progress: all rows of some keys, chosen by a hash."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

import ibis.expr.types as ir

from streampro.errors import ConfigError, did_you_mean
from streampro.modeling.model import Model
from streampro.modeling.pipeline import Pipeline

_SAMPLE = re.compile(r"(\d+(?:\.\d+)?) ?%(?: of (\S+))?")
SAMPLED = "~"
"""Stands in the ledger between the digest of a model's code and the sample that it is of."""
_DIGITS = 8
"""Of a digest in hexadecimal by which keys are chosen: one in 4 billion."""


@dataclass(frozen=True)
class Sample:
    """A share of the values of a column: those whose MD5 digest is below it.

    So it is the same on every engine and in every run, a larger sample has all of a smaller one,
    and whatever follows from the rows of one key, is as of all rows.
    """

    percent: Decimal
    by: str

    @classmethod
    def of(cls, text: str, pipeline: Pipeline) -> Self:
        """Return the sample that is meant by `5%` or `5% of id`. Without a column it is the
        one by which most models are incremental.

        Raises `ConfigError` for a text that says none, a column that no table has, and one whose
        values are neither texts nor integers.
        """
        said = _SAMPLE.fullmatch(text.strip())
        if not said or not 0 < Decimal(said[1]) < 100:
            raise ConfigError(
                f"{text!r} says no sample: write a share below 100%, such as '5%' or '5% of id'."
            )
        built = [model for model in pipeline.models.values() if not model.quarantine]
        keys = Counter(model.incremental_by for model in built if model.incremental_by)
        by = said[2] or next((name for name, _ in keys.most_common(1)), None)
        if by is None:
            raise ConfigError(f"no model is incremental by a key: name one, '{said[1]}% of id'.")
        kinds = {
            name: kind
            for model in pipeline.models.values()
            for name, kind in model.spec.schema.items()
        }
        if by not in kinds:
            raise ConfigError(f"no table has a column {by!r}. {did_you_mean(by, [*kinds])}".strip())
        if not (kinds[by].is_string() or kinds[by].is_integer()):
            raise ConfigError(
                f"samples are of texts or integers; {by} is {kinds[by].copy(nullable=True)}."
            )
        return cls(Decimal(said[1]), by)

    @classmethod
    def of_models(cls, code: Mapping[str, str], pipeline: Pipeline) -> dict[str, Self]:
        """Return of which samples models were built, by what the ledger tells of their code."""
        said = {name: each.partition(SAMPLED)[2] for name, each in code.items()}
        return {name: cls.of(text, pipeline) for name, text in said.items() if text}

    def __str__(self) -> str:
        return f"{self.percent.normalize():f}% of {self.by}"

    def rows(self, model: Model, name: str, rows: ir.Table) -> ir.Table:
        """Return the rows of an input of a model whose keys are chosen, all where it has no key."""
        by = model.key_of(name) if model.incremental_by == self.by else self.by
        if by not in rows.columns:
            return rows
        below = int(self.percent / 100 * 16**_DIGITS)
        digest = rows[by].cast("string").hexdigest("md5")
        return rows.filter(digest.substr(0, _DIGITS) < f"{below:0{_DIGITS}x}")
