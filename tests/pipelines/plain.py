"""Pipelines of models without books, for tests that need a few of one contract."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import ibis.expr.types as ir

from streampro import Contract, Pipeline, Source, model


def plain_models(
    sources: Sequence[Source], contract: type[Contract], *transforms: Callable[..., ir.Table]
) -> Pipeline:
    """Return a pipeline of these sources, and of models in the layer `staging`, each called as its
    transform is.
    """
    module: Any = ModuleType("staging")
    module.sources = sources
    for transform in transforms:
        transform.__module__ = module.__name__
        setattr(module, transform.__name__, model(contract=contract)(transform))
    return Pipeline("plain", [module])
