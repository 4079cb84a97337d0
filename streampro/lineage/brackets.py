"""Expressions as text in which operators keep their brackets, as Python writes them."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.expr.format import _infix_ops, fmt

_ORDER = ({"|"}, {"^"}, {"&"}, {"+", "-"}, {"*", "/", "//", "%"}, {"**"})
"""Operators of Python, the loosest first; comparisons are looser than all of them."""
_ASSOCIATIVE = ("&", "|", "+", "*")
_SHOWS_COLUMNS = re.compile(r"^(r\d+ := )?(UnboundTable|Project|JoinChain|DropColumns)\b")
_HANDED_ON = re.compile(r" +(\w+): +r\d+\.\1$| +\w+ +!?[a-z]\w*(\(.*\))?$|  (values|schema):$")
"""A column under its own name, one of a schema, and what stands above them."""
_RELATION = re.compile(r"\br\d+\b")
_AROUND = 60
"""Signs that are shown on both sides of what differs in a line."""


class Bracketed(ops.Value):  # type: ignore[misc]  # Ibis has no types here
    """A value that stands in brackets."""

    arg: ops.Value

    @property
    def name(self) -> str:
        return str(self.arg.name)

    @property
    def dtype(self) -> Any:
        return self.arg.dtype

    @property
    def shape(self) -> Any:
        return self.arg.shape


@fmt.register(Bracketed)  # type: ignore[untyped-decorator]  # Ibis has no types here
def _bracketed(op: Bracketed, arg: str) -> str:
    return f"({arg})"


def with_brackets(rows: ir.Table) -> str:
    """Return how Ibis shows an expression, with the brackets that its operators need."""
    return repr(rows.op().replace(_put).to_expr())


def readable(rows: ir.Table) -> str:
    """Return how Ibis shows an expression, without columns that are only handed on."""
    shown: list[str] = []
    relation = ""
    for line in filter(str.strip, with_brackets(rows).splitlines()):
        relation = relation if line.startswith(" ") else line
        is_column = line.startswith(" ") and _SHOWS_COLUMNS.search(relation)
        if not is_column or not _HANDED_ON.match(line):
            shown.append(line)
    return "\n".join(shown)


def formula_difference(before: ir.Table, after: ir.Table) -> tuple[str, ...]:
    """Return the lines in which two expressions differ, as a diff: of long ones what differs, with
    the column. The numbers of relations do not count.
    """
    old, new = (readable(rows).splitlines() for rows in (before, after))
    one, other = ([_RELATION.sub("r", line) for line in lines] for lines in (old, new))
    found: list[str] = []
    for tag, start, end, other_start, other_end in SequenceMatcher(
        None, one, other, autojunk=False
    ).get_opcodes():
        if tag != "equal":
            found += _diff(old[start:end], new[other_start:other_end])
    return tuple(found)


def _diff(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    if len(old) == len(new):
        pairs = [_short(*pair) for pair in zip(old, new, strict=True)]
        old, new = ([pair[side] for pair in pairs] for side in (0, 1))
    yield from (f"- {line.strip()}" for line in old)
    yield from (f"+ {line.strip()}" for line in new)


def _short(old: str, new: str) -> tuple[str, str]:
    """Return two lines without most of what they begin and end with in common."""
    same = _same(old, new)
    end = max(0, _same(old[same:][::-1], new[same:][::-1]) - _AROUND)
    start = max(0, same - _AROUND)
    name, mark, _ = old[:start].partition(": ")
    is_cut = start > len(name + mark)
    begin, after = (f"{name}{mark}...", start) if is_cut else ("", 0)
    ending = "..." if end else ""
    first, second = (begin + line[after : len(line) - end] + ending for line in (old, new))
    return first, second


def _same(one: str, other: str) -> int:
    """Return with how many equal signs two texts begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _put(node: Any, changed: dict[str, Any] | None) -> Any:
    node = node.__recreate__(changed) if changed else node
    if type(node) not in _infix_ops:
        return node
    left, right = node.left, node.right
    return node.copy(
        left=Bracketed(left) if _needs_brackets(node, left, is_right=False) else left,
        right=Bracketed(right) if _needs_brackets(node, right, is_right=True) else right,
    )


def _needs_brackets(node: Any, side: Any, *, is_right: bool) -> bool:
    symbol, below = _infix_ops[type(node)], _infix_ops.get(type(side))
    if below is None:
        return False
    strength, of_side = _strength(symbol), _strength(below)
    is_same = symbol == below and symbol in _ASSOCIATIVE
    return of_side < strength or (
        of_side == strength and not is_same and (is_right or not strength)
    )


def _strength(symbol: str) -> int:
    """Return how tight an operator binds; 0 for a comparison."""
    return next((place for place, level in enumerate(_ORDER, 1) if symbol in level), 0)
