"""The digest of an expression, equal exactly where the same rows come out."""

import hashlib
import inspect
import re
from collections.abc import Iterator, Mapping, Set
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from textwrap import dedent
from typing import Any
from uuid import UUID

import ibis.expr.datashape as ds
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.graph import Node
from ibis.common.grounds import Annotable
from ibis.formats import TableProxy

from streampro.errors import PipelineError

MEANING = 11
"""Raised when an expression comes to mean something else than before: because our compilers or
casts (`streampro/engines`) write other SQL for it, or a new Ibis does. Every model is then built
anew."""

_MADE_UP = re.compile(r"ibis_\w*?_[a-z2-7]{26}")
"""How Ibis calls what it has to name, another way each time."""
_PLAIN = (bool, int, float, Decimal, bytes, timedelta, UUID, IPv4Address, IPv6Address, type(None))


def code_hash(reading_rules: int, rows: ir.Table, audit: ir.Table, *declared: object) -> str:
    """Return the digest of an expression, of the query that audits it, and of what is `declared`
    beside them; `reading_rules` is the version by which raw text is read.
    """
    hashed = (MEANING, reading_rules, digest(rows), digest(audit), *declared)
    return hashlib.sha256(repr(hashed).encode()).hexdigest()[:16]


def digest(expression: ir.Expr) -> str:
    """Return the digest of the operations of an expression: of their kinds, arguments, literals
    with type, and names. It knows no SQL.

    Names that Ibis makes up are told by the order in which they appear, so that an expression that
    is built twice, in whatever process, has one digest.

    Raises `PipelineError` for an argument of which it cannot be told whether it is the same.
    """
    told = _Told()
    for node in bottom_up(expression.op()):
        told.add(node)
    return told.nodes[id(expression.op())]


class _Told:
    """The digests of operations by their `id`: 0.0 and -0.0 are equal for Python."""

    def __init__(self) -> None:
        self.nodes: dict[int, str] = {}
        self.made_up: dict[object, int] = {}

    def add(self, node: Any) -> None:
        """Tell of an operation whose arguments have been told of."""
        if isinstance(node, ops.Literal):
            told: object = self._constant(node.value), self._argument(node.dtype)
        elif isinstance(node, ops.SelfReference):
            told = self._argument(node.parent), self._nth(node.identifier)
        elif isinstance(node, ops.InValues):
            told = self._argument(node.value), sorted(self.nodes[id(each)] for each in node.options)
        else:
            told = self._arguments(node)
        text = repr((type(node).__name__, told))
        self.nodes[id(node)] = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()

    def _argument(self, value: Any) -> object:
        if isinstance(value, Node):
            return self.nodes[id(value)]
        if isinstance(value, Annotable):
            return type(value).__name__, self._arguments(value)
        if isinstance(value, str) and not isinstance(value, Enum):
            return "name", _MADE_UP.sub(lambda found: f"\0{self._nth(found[0])}", value)
        if isinstance(value, TableProxy):
            raise PipelineError("a table in memory has no code: make it a Source.")
        return _in_parts(value, self._argument)

    def _arguments(self, node: Any) -> list[object]:
        return [self._argument(each) for each in node.__args__]

    def _constant(self, value: Any) -> object:
        return ("text", value) if type(value) is str else _in_parts(value, self._constant)

    def _nth(self, name: object) -> int:
        return self.made_up.setdefault(name, len(self.made_up))


def _in_parts(value: Any, told: Any) -> object:
    """Return a value without text of its own, or the parts that `told` tells of a collection."""
    if isinstance(value, Mapping):
        return "mapping", [(told(key), told(each)) for key, each in value.items()]
    if isinstance(value, tuple | list):
        return "list", [told(each) for each in value]
    if isinstance(value, Set):
        return "set", sorted(map(repr, map(told, value)))
    if isinstance(value, Enum):
        return type(value).__name__, value.name
    if isinstance(value, ds.DataShape):
        return type(value).__name__
    if isinstance(value, date | time):
        return type(value).__name__, value.isoformat()
    if isinstance(value, _PLAIN):
        return type(value).__name__, repr(value)
    if inspect.isfunction(value):
        return "function", _source_of(value)
    raise PipelineError(f"{value!r} of type {type(value).__name__} may not stand in an expression.")


def _source_of(function: Any) -> str:
    """Return the code of a function, which tells whether it is the same."""
    try:
        return dedent(inspect.getsource(function))
    except OSError as error:
        raise PipelineError(
            f"the code of {function.__name__} cannot be read: define it in a file."
        ) from error


def bottom_up(root: Node) -> Iterator[Node]:
    """Yield every operation once, after its arguments."""
    todo, seen = [(root, False)], set()
    while todo:
        node, is_told = todo.pop()
        if is_told:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            todo.append((node, True))
            todo += [(child, False) for child in reversed(node.__children__)]
