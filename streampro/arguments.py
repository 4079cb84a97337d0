"""Arguments of public functions, whose names and types are checked when they are called."""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from streampro.errors import ConfigError, PipelineError, did_you_mean

_Called = TypeVar("_Called", bound=Callable[..., Any])
_NAMES = {str: "a text", bool: "True or False", int: "a whole number"}
_MANY = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
_Kind = type[ConfigError] | type[PipelineError]


def declares(called: _Called) -> _Called:
    """Return a function or class that raises `PipelineError` for arguments that it does not have
    and for those of another type than it says. A dataclass judges types itself.
    """
    return _checked(called, PipelineError)


def asks(called: _Called) -> _Called:
    """Return a function that raises `ConfigError` for arguments that it does not have and for those
    of another type than it says.
    """
    return _checked(called, ConfigError)


def _checked(called: _Called, kind: _Kind) -> _Called:
    if isinstance(called, type):
        made: Any = called
        made.__init__ = _refusing(made.__init__, called.__name__, kind)
        return called
    refusing: Any = _refusing(called, called.__name__, kind)
    return refusing  # type: ignore[no-any-return]  # it has the type of what it wraps


def _refusing(function: Callable[..., Any], name: str, kind: _Kind) -> Callable[..., Any]:
    signature = inspect.signature(function)
    known = [each for each in signature.parameters if each != "self"]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())

    @functools.wraps(function)
    def refusing(*args: Any, **arguments: Any) -> Any:
        for each in () if takes_any else arguments.keys() - {*known}:
            raise kind(
                f"{name}() has no argument {each!r}. {did_you_mean(each, known)}"
                f"Arguments: {', '.join(known)}."
            )
        try:
            bound = signature.bind(*args, **arguments)
        except TypeError as error:
            raise kind(f"{name}(): {error}.") from error
        for said in _unlike(function, bound.arguments):
            raise kind(f"{name}(): {said}")
        return function(*args, **arguments)

    return refusing


def _unlike(function: Callable[..., Any], arguments: dict[str, Any]) -> Iterator[str]:
    """Yield which arguments are of another type than a function says, a sentence each."""
    hints = {} if is_dataclass(arguments.get("self")) else _hints(function)
    for name, value in arguments.items():
        hint = hints.get(name, Any)
        if why := _reason(value, hint):
            words = [each for each in get_args(hint) if get_origin(hint) is Literal]
            meant = did_you_mean(value, words) if isinstance(value, str) else ""
            shown = value if isinstance(value, str) else type(value).__name__
            given = repr(value) if isinstance(value, str | int | float | None) else f"a {shown}"
            yield f"{name} is {given}, but must be {why}. {meant}".strip()


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of a function's arguments that can be checked."""
    parameters = inspect.signature(function).parameters
    return {
        name: hint
        for name, hint in get_type_hints(function).items()
        if name in parameters and parameters[name].kind not in _MANY
        if get_origin(hint) is not type
    }


def _reason(value: Any, hint: Any) -> str | None:
    """Return what a value must be, None if it is."""
    if hint is Any:
        return None
    if isinstance(hint, type) and not get_args(hint):
        is_number = hint is not bool and isinstance(value, bool)
        return (
            None
            if isinstance(value, hint) and not is_number
            else _NAMES.get(hint, f"a {hint.__name__}")
        )
    from pydantic import ValidationError

    adapter = _adapter(hint)
    if adapter is None:
        return None
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        said = (each["msg"].removeprefix("Input should be ") for each in error.errors())
        return " or ".join(dict.fromkeys(said)).replace("a valid string", "a text")
    return None


@functools.cache
def _adapter(hint: Any) -> Any:
    """Return what checks a type; None for a protocol, whose methods nobody can ask for."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter
    from pydantic_core import SchemaError

    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    except (PydanticUserError, SchemaError):
        return None
