"""What stands in the body of a contract: columns, rules and `class Config`, each under a name of
its own. What nothing would apply is refused, so that no rule is lost without a word.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from streampro.environment import kept_environment
from streampro.errors import PipelineError, place_of

with kept_environment():  # as in `streampro.modeling.contract`
    from pandera.api.base.model import MetaModel
    from pandera.api.dataframe.model_components import (
        CHECK_KEY,
        DATAFRAME_CHECK_KEY,
        CheckInfo,
        FieldInfo,
    )

CONFIG = "Config"
WRAPPED = (
    *(classmethod, staticmethod, property, functools.cached_property),
    *(functools.partial, functools.partialmethod, functools.singledispatchmethod),
)
"""What Python or a user makes of a method, so that it is no rule."""


class RuleMethod(classmethod):  # type: ignore[type-arg]  # of any table
    """What `@rule()` makes of a method."""


class _Body(dict[str, Any]):
    """The names of a class while it is written; none that declares something is taken twice."""

    def __init__(self, contract: str) -> None:
        super().__init__()
        self._contract = contract

    def __setitem__(self, name: str, value: Any) -> None:
        before = self.get(name)
        kinds = sorted({_kind(each) for each in (before, value)} - {""})
        if len(kinds) == 2:
            raise PipelineError(
                f"contract {self._contract}: {name!r} is a column and a rule. Give the rule "
                "another name."
            )
        if _kind(before) or (name == CONFIG and name in self):
            raise PipelineError(
                f"contract {self._contract}: {name!r} stands there twice, and the first would be "
                "lost. Give one another name, or remove it."
            )
        super().__setitem__(name, value)


class Declared(MetaModel):
    """The type of contracts, which sees what is written twice."""

    @classmethod
    def __prepare__(cls, name: str, _bases: tuple[type, ...], **_options: Any) -> _Body:  # type: ignore[override]  # of its own class
        return _Body(name)


def is_column(value: object) -> bool:
    """Tell whether a value is what `column()` returns."""
    return isinstance(value, FieldInfo)


def rules_of(contract: type, key: str) -> dict[str, CheckInfo]:
    """Return pandera's checks of a kind by the attributes that hold them, those of the class before
    what it inherits.
    """
    held: dict[str, Any] = {}
    for base in contract.__mro__:
        held = held | {name: each for name, each in vars(base).items() if name not in held}
    infos = {name: getattr(each, key, None) for name, each in held.items()}
    return {name: info for name, info in infos.items() if isinstance(info, CheckInfo)}


def refuse_body(contract: type, root: type) -> None:
    """Raise `PipelineError` for what stands in the body of a contract, or in that of a base, and
    would not be applied; `root` is the base of all contracts.
    """
    start = f"contract {contract.__name__}: "
    for base in contract.__mro__[1:]:
        if base not in root.__mro__ and not issubclass(base, root):
            _refuse_mixin(start, base)
    types = inspect.get_annotations(contract)
    bases = [base for base in contract.__mro__[1:] if issubclass(base, root)]
    for name, value in vars(contract).items():
        if not name.startswith("__") and (said := _misfit(name, value, types)):
            inherited = next((b for b in bases if _kind(vars(b).get(name))), None)
            said = _kept(name, value, inherited) if inherited else said
            raise PipelineError(f"{start}{said}", _place(value))
    for name in (*types, *vars(contract)):
        _refuse_change(start, name, vars(contract).get(name), bases)
        if name in dir(root) and "_" in name.strip("_") and not name.startswith("__"):
            raise PipelineError(
                f"{start}{name!r} is a name of pandera's own. Give the attribute another one; "
                f"a column keeps its own by column(..., alias={name!r})."
            )


def _refuse_mixin(start: str, base: type) -> None:
    names = [*inspect.get_annotations(base), *vars(base)]
    for name in names:
        value = vars(base).get(name)
        if not name.startswith("_") or any(map(_kind, _within(value))):
            raise PipelineError(
                f"{start}its base {base.__name__} is no contract, so that its {name!r} would not "
                f"be applied. Write `class {base.__name__}(Contract):`.",
                _place(value),
            )


def _refuse_change(start: str, name: str, value: Any, bases: list[type]) -> None:
    """Raise `PipelineError` for a column or rule of a base that becomes the other, or a column that
    loses what its base says of it.
    """
    for base in bases:
        was = _kind(vars(base).get(name))
        if was and _kind(value) and was != _kind(value):
            raise PipelineError(
                f"{start}{name!r} is a {was} of {base.__name__} and a {_kind(value)} here. Give "
                "the rule another name."
            )
        if was == "column" and value is None:
            raise PipelineError(
                f"{start}column {name!r} is declared again without column(...), and loses what "
                f"{base.__name__} says of it. Leave it out, or write `{name}: ... = column(...)`."
            )


def _misfit(name: str, value: Any, types: Mapping[str, Any]) -> str | None:
    """Return why an attribute is not applied and what to write, None if it is, or is none that
    declares something.
    """
    if name == CONFIG:
        is_class = isinstance(value, type)
        return None if is_class else f"Config is {_said(value)}. Write `class Config:`{_AS_CLASS}"
    if is_column(value):
        is_typed = name in types
        return None if is_typed else f"column {name!r} has no type. Write `{_column(name)}`."
    if _kind(value):
        return None
    if name.startswith("_") and not any(map(_kind, _within(value))):
        return None
    advice = next(said for is_it, said in _ADVICE if is_it(name, value, types))
    return advice.format(name=name, value=_said(value), column=_column(name))


def _kept(name: str, value: object, base: type) -> str:
    """Return what is said of a value that stands where a base declares something."""
    kind = _kind(vars(base)[name])
    return (
        f"{name!r} is {_said(value)}, but a {kind} of {base.__name__}, which nothing takes away. "
        "Declare it again, or derive from a contract without it."
    )


def _kind(value: object) -> str:
    """Return `column` or `rule`, or an empty text for what is neither."""
    if is_column(value):
        return "column"
    is_rule = isinstance(value, RuleMethod)
    checks = (getattr(value, key, None) for key in (CHECK_KEY, DATAFRAME_CHECK_KEY))
    of_pandera = type(value) is classmethod and any(isinstance(each, CheckInfo) for each in checks)
    return "rule" if is_rule or of_pandera else ""


def _within(value: object) -> Iterator[object]:
    """Yield a value and what it is made of."""
    yield value
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, WRAPPED):
        yield _function(value)


def _function(value: Any) -> Any:
    names = ("__func__", "fget", "func")
    return next((getattr(value, name) for name in names if hasattr(value, name)), value)


def _place(value: object) -> str:
    """Return where the function is written of which a rule, or what is around one, is made."""
    while (inner := _function(value)) is not value:
        value = inner
    return place_of(value) if inspect.isfunction(value) else ""


def _said(value: object) -> str:
    is_plain = isinstance(value, str | int | float | None)
    return repr(value) if is_plain else f"a {type(value).__name__}"


def _column(name: str) -> str:
    return f"{name}: str = column(...)"


def _is_class(*names: str) -> Callable[[str, Any, Mapping[str, Any]], bool]:
    return lambda name, value, _: isinstance(value, type) and (name.lower() in names or not names)


def _has(kind: str) -> Callable[[str, Any, Mapping[str, Any]], bool]:
    return lambda _, value, __: kind in map(_kind, _within(value))


_AS_CLASS = ", and in it `unique = [...]`."
_ADVICE: tuple[tuple[Callable[[str, Any, Mapping[str, Any]], bool], str], ...] = (
    (
        _is_class("config", "meta", "options"),
        f"class {{name}} is not read. Write `class Config:`{_AS_CLASS}",
    ),
    (_is_class(), "class {name} is neither a column nor a rule. Write it outside of the contract."),
    (
        lambda _, value, __: isinstance(value, tuple) and [*map(_kind, value)] == ["column"],
        "{name!r} is {value}, because a comma stands behind column(...). Take it away.",
    ),
    (
        lambda _, value, __: inspect.isfunction(value),
        "method {name!r} is no rule. Write @rule() above it, or call it _{name} if it is none.",
    ),
    (
        lambda _, value, __: isinstance(value, WRAPPED) and _kind(_function(value)) == "rule",
        "{value} stands around the rule {name!r}, which would not be applied. Write @rule() above "
        "`def {name}(cls, rows):` and nothing else.",
    ),
    (
        lambda _, value, __: isinstance(value, WRAPPED),
        "{name!r} is {value} and no rule. Write @rule() above `def {name}(cls, rows):` and nothing "
        "else, or call it _{name} if it is none.",
    ),
    (
        _has("rule"),
        "{name!r} is {value} of rules, which would not be applied. Give each a name of its own: "
        "`is_so = rule()(...)`.",
    ),
    (
        _has("column"),
        "{name!r} is {value} of columns, which would not be there. Write each by itself: "
        "`{column}`.",
    ),
    (
        lambda name, _, types: name in types,
        "{name!r} is {value}, but must be a column: `{column}`.",
    ),
    (
        lambda *_: True,
        "{name!r} is {value}, which is neither a column nor a rule. Write `{column}`, or call it "
        "_{name} if it is none.",
    ),
)
"""What to write instead of what is no declaration, the first that fits."""
