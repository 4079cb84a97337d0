"""What the values of a column are compared with: bounds, and lists of values."""

import operator
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from itertools import product
from typing import Any

from streampro.errors import PipelineError

_PASSES: Mapping[str, Callable[[Any, Any], Any]] = {
    **{name: getattr(operator, name) for name in ("eq", "ne", "gt", "ge", "lt", "le")},
    "isin": lambda value, given: value in given,
    "notin": lambda value, given: value not in given,
}
"""Whether a value passes a check of a column."""


def refuse_checks(checks: Mapping[str, Any]) -> None:
    """Raise `PipelineError` for checks of a column that no value passes, or that say nothing."""
    values = [each for name, given in checks.items() for each in _values_of(name, given)]
    try:
        sorted(values)
    except TypeError as error:
        shown = ", ".join(map(repr, dict.fromkeys(values)))
        raise PipelineError(f"column(): the values {shown} are of different types.") from error
    if not _is_possible(checks):
        shown = ", ".join(f"{name}={given!r}" for name, given in checks.items())
        raise PipelineError(f"column(): no value passes {shown}.")


def _values_of(name: str, given: Any) -> list[Any]:
    """Return the values that a check compares with. Raises `PipelineError` for what is none."""
    start, is_list = f"column(): {name}", name in ("isin", "notin")
    if is_list and isinstance(given, str | bytes | Mapping):
        values = [*given] if isinstance(given, Mapping) else [given]
        raise PipelineError(f"{start} is {given!r}, but must be a list: {values!r}.")
    if is_list and not given:
        raise PipelineError(f"{start} is empty, which no value is or every value.")
    for each in given if is_list else (given,):
        if each is None:
            raise PipelineError(f"{start} has None: whether null is legal is said by nullable=.")
        if isinstance(each, Collection) and not isinstance(each, str | bytes):
            raise PipelineError(f"{start} has {each!r}, but compares with values without parts.")
        is_endless = isinstance(each, Decimal) and each.is_infinite()
        if is_endless or (not isinstance(each, str | bytes) and each != each):
            raise PipelineError(f"{start} has {each!r}, to which nothing compares.")
    return [*given] if is_list else [given]


def _is_possible(checks: Mapping[str, Any]) -> bool:
    """Tell whether some value passes all checks; between bounds that differ there is one."""
    named = checks.get("isin", [checks["eq"]] if "eq" in checks else None)
    if named is not None:
        return any(all(_PASSES[n](each, given) for n, given in checks.items()) for each in named)
    lows, highs = (
        [(checks[name], name in ("gt", "lt")) for name in names if name in checks]
        for names in (("ge", "gt"), ("le", "lt"))
    )
    return all(
        low < high or (low == high and not (is_above or is_below))
        for (low, is_above), (high, is_below) in product(lows, highs)
    )
