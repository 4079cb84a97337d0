"""The reference of the public Python names, from their signatures and docstrings."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, get_origin

from griffe import Docstring, DocstringSectionKind

import streampro
from streampro import portable, report, testing

_EXAMPLE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
_MODULES = re.compile(r"\b(\w+\.)+(?=\w)")
_TABLES = {
    DocstringSectionKind.attributes: "attribute",
    DocstringSectionKind.parameters: "argument",
}


def python_names() -> str:
    """Return a section per public name: how it is called, what it returns, what it takes."""
    first = (
        "The names that a pipeline, a script or a scheduler uses. All else may change without "
        "notice. [Portable](portable.md) has a section per word of `streampro.portable`.\n"
    )
    return "\n".join([first, *(_section(name, thing) for name, thing in public())])


def public() -> Iterator[tuple[str, Any]]:
    """Yield every public name, as it is imported, and what it names."""
    for name in sorted(streampro.__all__, key=str.lower):
        yield f"streampro.{name}", getattr(streampro, name)
    yield "streampro.portable", portable
    for name in sorted(report.__all__):
        yield f"streampro.report.{name}", getattr(report, name)
    for name in ("Workbench", "assert_rows_equal"):
        yield f"streampro.testing.{name}", getattr(testing, name)


def _section(name: str, thing: Any) -> str:
    if get_origin(thing) or not (callable(thing) or inspect.ismodule(thing)):
        return f"## {name}\n\n`{_MODULES.sub('', str(thing))}`\n"
    parts = [f"## {name}\n", *_call(name, thing), *_told(inspect.getdoc(thing) or "")]
    return "\n".join([*parts, *_methods(thing)])


def _call(name: str, thing: Any) -> list[str]:
    """Return how something is called; errors and modules are not."""
    is_error = isinstance(thing, type) and issubclass(thing, Exception)
    if inspect.ismodule(thing) or is_error:
        return []
    return [f"`{name.rpartition('.')[2]}({_arguments(thing)})`\n"]


def _arguments(thing: Any) -> str:
    parameters = [
        each for each in inspect.signature(thing).parameters.values() if each.name != "self"
    ]
    names, is_named = [], False
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not is_named:
            names, is_named = [*names, "*"], True
        star = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        default = "" if each.default is each.empty else f"={_default(each.default)}"
        names.append(f"{star}{each.name}{default}")
    return ", ".join(names)


def _default(value: Any) -> str:
    shown = repr(value)
    return "..." if "<" in shown or "(" in shown[1:] else shown


def _told(text: str) -> Iterator[str]:
    """Yield the parts of a docstring: text, examples as indented code, lists as tables."""
    for part in Docstring(text).parse("google", warnings=False):
        if part.kind in _TABLES:
            yield f"| {_TABLES[part.kind]} | meaning |\n|---|---|"
            yield from (f"| `{each.name}` | {_line(each.description)} |" for each in part.value)
            yield ""
        elif part.kind is DocstringSectionKind.text:
            yield f"{_EXAMPLE.sub(_indented, part.value)}\n"


def _indented(example: re.Match[str]) -> str:
    return textwrap.indent(example[1], "    ")


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _methods(thing: Any) -> Iterator[str]:
    """Yield a line per public method and property that a class of ours declares itself."""
    if not isinstance(thing, type) or not thing.__module__.startswith("streampro"):
        return
    rows = []
    for name, value in vars(thing).items():
        value = getattr(value, "__func__", value)
        doc = inspect.getdoc(value)
        if name.startswith("_") or not doc:
            continue
        if isinstance(value, property):
            rows.append(f"| `.{name}` | {_line(doc.partition(chr(10) * 2)[0])} |")
        elif inspect.isfunction(value):
            rows.append(
                f"| `.{name}({_arguments(value)})` | {_line(doc.partition(chr(10) * 2)[0])} |"
            )
    if rows:
        yield "\n".join(["| member | meaning |", "|---|---|", *rows, ""])
