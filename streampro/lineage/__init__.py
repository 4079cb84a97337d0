"""From a number down to the raw lines that it comes from."""

from streampro.modeling.columns.lineage import Lineage

__all__ = ["Lineage"]
