"""Which operations of an expression are the inside of a word: of a function of `portable`, or of
`one_row_per_key`, which is tested where it is written.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.graph import Node

from streampro import portable
from streampro.modeling.quarantine import one_row_per_key

_PORTABLE = str(Path(portable.__file__).parent)
_OTHERS = (one_row_per_key.__wrapped__.__code__,)  # type: ignore[attr-defined]  # below `declares`


class Words:
    """The words that a function has said: what each returned, and of what.

    Operations are known again by their shape, in which a column is its name: Ibis hands
    expressions on from the rows that they were written of to those that they are used on.
    """

    def __init__(self) -> None:
        self._inside: set[int] = set()
        self._said: dict[int, tuple[str, tuple[Node, ...]]] = {}

    def heard(self, said: Callable[[], ir.Table]) -> ir.Table:
        """Return what a function returns, and remember the words that it says on the way."""
        arguments: dict[FrameType, list[Node]] = {}

        def hear(frame: FrameType, event: str, returned: Any) -> None:
            if event == "call" and _is_word(frame.f_code):
                arguments[frame] = [*_operations(frame.f_locals.values())]
            elif event == "return" and (taken := arguments.pop(frame, None)):
                self._add(frame.f_code.co_name, next(_operations([returned]), None), taken)

        before = sys.getprofile()
        sys.setprofile(hear)
        try:
            return said()
        finally:
            sys.setprofile(before)

    def are_around(self, node: Node, shapes: Mapping[Node, int]) -> bool:
        """Tell whether an operation is the inside of a word."""
        return shapes[node] in self._inside

    def said(self, node: Node, shapes: Mapping[Node, int]) -> tuple[str, tuple[Node, ...]]:
        """Return the word that returned an operation, "" if none did, and what it takes."""
        return self._said.get(shapes[node], ("", ()))

    def _add(self, word: str, returned: Node | None, taken: list[Node]) -> None:
        if returned is None or returned in taken:
            return
        shapes = shapes_of(returned)
        self._said[shapes[returned]] = word, tuple(taken)
        todo = [returned]
        while todo:
            node = todo.pop()
            if node not in taken and not isinstance(node, ops.Field):
                self._inside.add(shapes[node])
                todo += node.__children__


def shapes_of(root: Node) -> dict[Node, int]:
    """Return a number for every operation, the same for those that differ in nothing but the rows
    whose columns they take.
    """

    def shape(node: Any, shapes: dict[Node, int], **_: Any) -> int:
        if isinstance(node, ops.Field):
            return hash(("column", node.name))
        plain = [*_plain(node.__args__)]
        return hash((type(node).__name__, *plain, *(shapes[each] for each in node.__children__)))

    found: dict[Node, int] = root.map(shape)
    return found


def _plain(values: Iterable[Any]) -> Iterator[str]:
    """Yield the arguments that are no operations, and the names of those that have some."""
    for value in values:
        if isinstance(value, Mapping):
            yield from map(str, value)
        elif not isinstance(value, Node | tuple):
            yield repr(value)


def _is_word(code: CodeType) -> bool:
    return code in _OTHERS or code.co_filename.startswith(_PORTABLE)


def _operations(values: Iterable[Any]) -> Iterator[Node]:
    for value in values:
        if isinstance(value, ir.Expr):
            yield value.op()
        elif isinstance(value, tuple | list):
            yield from _operations(value)
