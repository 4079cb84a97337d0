"""Arguments of public functions, whose names and types are checked when they are called."""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from streampro.errors import ConfigError, PipelineError, did_you_mean
from streampro.names import is_utf8

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MOST_ROWS = 2**63
_Called = TypeVar("_Called", bound=Callable[..., Any])
_NAMES = {str: "a text", bool: "True or False", int: "a whole number"}
_SAID = {"string_type": "a text", "sequence_str": "a list of texts", "callable_type": "a function"}
"""What a value must be, where pydantic says it in other words."""
_OF_A_KEY = "[key]"
_MANY = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
_Kind = type[ConfigError] | type[PipelineError]


def declares(called: _Called) -> _Called:
    """Return a function or class that raises `PipelineError` for arguments that it does not have
    and for those of another type than it says. A class with `__post_init__` judges types itself.
    """
    return _checked(called, PipelineError)


def asks(called: _Called) -> _Called:
    """Return a function that raises `ConfigError` for arguments that it does not have and for those
    of another type than it says.
    """
    return _checked(called, ConfigError)


def refuse_limit(called: str, limit: int) -> None:
    """Raise `ConfigError` for a number of rows that no engine takes."""
    if not 0 <= limit < _MOST_ROWS:
        raise ConfigError(f"{called}(): limit is {limit}, but must be a number of rows, from 0 up.")


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
    hints = {} if hasattr(arguments.get("self"), "__post_init__") else _hints(function)
    for name, argument in arguments.items():
        for text in _texts(argument):
            if not is_utf8(text):
                yield f"{name} has {text!r}, which no text in UTF-8 is."
        hint = hints.get(name, Any)
        if misfit := _misfit(argument, hint):
            at, value, why = misfit
            kinds = [each for each in (hint, *get_args(hint)) if get_origin(each) is Literal]
            words = [word for each in kinds for word in get_args(each)]
            meant = did_you_mean(value, words) if isinstance(value, str) else ""
            is_plain = isinstance(value, str | int | float | None)
            given = repr(value) if is_plain else f"a {type(value).__name__}"
            yield f"{at.format(name)} is {given}, but must be {why}. {meant}".strip()


def _texts(argument: Any) -> Iterator[str]:
    """Yield a text, or those of a list or a mapping, also within others."""
    if isinstance(argument, str):
        yield argument
    elif isinstance(argument, dict):
        yield from _texts([*argument, *argument.values()])
    elif isinstance(argument, list | tuple | set | frozenset):
        for each in argument:
            yield from _texts(each)


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


def _misfit(value: Any, hint: Any) -> tuple[str, Any, str] | None:
    """Return where in a value something else stands than a type says, `{}` for the value, what
    stands there and what must; None if nothing does.
    """
    if hint is Any:
        return None
    if isinstance(hint, type) and not get_args(hint):
        is_number = hint is not bool and isinstance(value, bool)
        is_one = isinstance(value, hint) and not is_number
        return None if is_one else ("{}", value, _NAMES.get(hint, f"a {hint.__name__}"))
    from pydantic import ValidationError

    adapter = _adapter(hint)
    if adapter is None:
        return None
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        whole = [each for each in error.errors() if each["input"] is value]
        return ("{}", value, _wanted(whole)) if whole else _part(error.errors()[0])
    return None


def _part(fault: "ErrorDetails") -> tuple[str, Any, str]:
    """Return the same of a part of a value."""
    *outer, last = fault["loc"]
    at = "".join(f"[{each!r}]" for each in (outer[:-1] if last == _OF_A_KEY else fault["loc"]))
    return (
        (f"a key of {{}}{at}" if last == _OF_A_KEY else f"{{}}{at}"),
        fault["input"],
        _wanted([fault]),
    )


def _wanted(faults: "list[ErrorDetails]") -> str:
    said = (_SAID.get(each["type"]) or each["msg"] for each in faults)
    return " or ".join(dict.fromkeys(each.removeprefix("Input should be ") for each in said))


@functools.cache
def _adapter(hint: Any) -> Any:
    """Return what checks a type; None for a protocol, whose methods nobody can ask for."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter
    from pydantic_core import SchemaError

    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    except (PydanticUserError, SchemaError):
        return None
