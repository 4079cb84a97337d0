"""Patterns and formats that stand in the code, as far as engines read them alike."""

import re
from typing import Any

import ibis.expr.operations as ops

_ESCAPE = r"\\(?:[adfnrtwzADW]|[pP]\{[A-Z][a-z]?\}|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]+\}|[^0-9A-Za-z])"
_CLASS = rf"\[\^?(?:{_ESCAPE}|[^][\\&]|&(?!&))+\]"
_ATOM = rf"{_ESCAPE}|{_CLASS}|\((?!\?)|\(\?:|[)|^]|[^][\\(){{}}.*+?$|^]"
_QUANTIFIER = r"(?:(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})\??)?"
_COMMON_REGEX = re.compile(
    rf"(\(\?s\)(?:(?:{_ATOM}|\.){_QUANTIFIER})*|(?:(?:{_ATOM}){_QUANTIFIER})*)"
)
COMMON_STRFTIME = re.compile(r"(?:%[YmdHMSfaAbByIpZ]|%-d|[^%A-Za-z'\[\]{}#])*")
READ_DIFFERENTLY = ("$", ".", r"\s", r"\b", "(?i")
_UNKNOWN_TEXT = r"\$(?%"


def misread(node: Any) -> str:
    """Return the family of the first part of a pattern that engines read differently, or ""."""
    pattern = text_of(node.pattern)
    common = _COMMON_REGEX.match(pattern)
    rest = pattern[common.end() if common else 0 :].lower()
    families = [each for each in READ_DIFFERENTLY if rest.startswith(each)]
    return rest and "".join(families or ["other"])


def as_python(pattern: Any) -> re.Pattern[str]:
    """Return a pattern as Python spells it; one that fits nothing where it cannot."""
    spelled = re.sub(r"\\[pP]\{\w+\}|\\x\{\w+\}", "_", text_of(pattern)).replace(r"\z", r"\Z")
    try:
        return re.compile(spelled)
    except re.error:
        return re.compile("_")


def value_of(node: Any, unknown: Any = None) -> Any:
    """Return the value of a literal; `unknown` of null and of what is no literal."""
    is_known = isinstance(node, ops.Literal) and node.value is not None
    return node.value if is_known else unknown


def text_of(node: Any) -> str:
    """Return the text of a literal; of what is none a text that no condition lets pass."""
    return str(value_of(node, _UNKNOWN_TEXT))
