"""Write docs/reference from the code: `make reference`, or tell with `--check` whether it is so."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from griffe import Docstring, DocstringSectionKind
from pydantic import BaseModel

from streampro import portable
from streampro.cli import cli
from streampro.config import DuckDBSettings, OpenLineageSettings, SparkSettings, Target
from streampro.modeling.contract import Contract, Rejected
from streampro.modeling.spec import spec_of
from streampro.viewing import PIPELINE
from tools.law import what_you_may_write
from tools.names import python_names

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- written by `make reference` -->"


def tables() -> str:
    """Return a section per table: what a row is, key, columns with type, unit and meaning."""
    parts = [
        "The tables of the viewing pipeline, as their contracts describe them. Layers are folders "
        "of the warehouse; every table is a Delta table.\n"
    ]
    parts += [_table(str(built.table), built.contract) for built in PIPELINE.models.values()]
    rejected = [str(built.rejected) for built in PIPELINE.models.values() if built.quarantine]
    return "\n".join([*parts, _table(", ".join(rejected), Rejected)])


def _table(title: str, contract: type[Contract]) -> str:
    key = ", ".join(spec_of(contract).key) or "none"
    if len(spec_of(contract).key) == len(spec_of(contract).schema):
        key = "all columns"
    lines = [
        f"## {title}\n",
        f"{' '.join((contract.__doc__ or '').split())} Key: {key}.\n",
        "| column | type | null | unit | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, spec in spec_of(contract).columns.items():
        kind = str(spec_of(contract).schema[name]).removeprefix("!")
        unit = (spec.metadata or {}).get("unit") or ""
        null = "yes" if spec.nullable else ""
        lines.append(f"| {name} | {kind} | {null} | {unit} | {spec.description} |")
    return "\n".join([*lines, ""])


def commands() -> str:
    """Return a section per command: what it does, how it is called, its options."""
    context = click.Context(cli, info_name="streampro")
    first = "Every command also takes `--help`. Exit codes are explained in [Errors](errors.md).\n"
    return "\n".join([first, *_commands(cli, context)])


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        inner = click.Context(command, info_name=name, parent=context)
        yield _command(command, inner)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _command(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    told = [_unwrapped(command.help or ""), f"    {usage}"]
    rows = [param.get_help_record(context) for param in command.params]
    shown = [f"| `{_cell(row[0])}` | {_cell(row[1])} |" for row in rows if row]
    if shown:
        told.append("\n".join(["| option | meaning |", "|---|---|", *shown]))
    return "\n\n".join([f"## {context.command_path}", *told]) + "\n"


def _unwrapped(text: str) -> str:
    """Return paragraphs as one line each."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def portable_words() -> str:
    """Return a section per function of `streampro.portable`: what it returns, and of what."""
    parts = [
        "`from streampro import portable`: helpers made of Ibis that mean the same on every "
        "engine, for what Ibis alone leaves to the engine. All take and return expressions; null "
        "gives null unless it says otherwise.\n"
    ]
    for name, function in sorted(vars(portable).items()):
        if inspect.isfunction(function) and not name.startswith("_"):
            taken = ", ".join(map(_parameter, inspect.signature(function).parameters.values()))
            text = _unwrapped(inspect.getdoc(function) or "")
            parts += [f"## {name}\n", f"`{name}({taken})`\n", f"{text}\n"]
    return "\n".join(parts)


def _parameter(parameter: inspect.Parameter) -> str:
    given = parameter.default
    return parameter.name if given is parameter.empty else f"{parameter.name}={given!r}"


def configuration() -> str:
    """Return a table of keys per section of a target's file."""
    parts = [
        "A target is a file `configs/NAME.toml`, picked by `--target NAME` or `STREAMPRO_TARGET`. "
        "`local` and `spark-local` have built-in defaults, so they need no file; options of the "
        "command line win over the file. An unknown key or a value of the wrong type is refused.\n",
        "Relative paths count from the working directory; places of a Spark target may be on any "
        "file system that Spark reads and writes. `${NAME}` is replaced by that environment "
        "variable, `$$` is a dollar sign.\n",
        _keys("Keys", Target),
        _keys("[duckdb]", DuckDBSettings),
        _keys("[spark]", SparkSettings),
        _keys("[openlineage]", OpenLineageSettings),
    ]
    return "\n".join(parts)


def _keys(title: str, section: type[BaseModel]) -> str:
    text, *parts = Docstring(inspect.cleandoc(section.__doc__ or "")).parse("google")
    lines = [f"## {title}\n", f"{text.value.splitlines()[0]}\n"]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    meaning = {
        each.name: each.description
        for part in parts
        if part.kind is DocstringSectionKind.attributes
        for each in part.value
    }
    properties = section.model_json_schema()["properties"]
    for key, field in section.model_fields.items():
        if key == "name" or _is_section(properties[key]):
            continue
        default = f"`{field.default}`" if field.default else ""
        lines.append(f"| `{key}` | {_kind(properties[key])} | {default} | {_cell(meaning[key])} |")
    return "\n".join([*lines, ""])


def _is_section(schema: dict[str, Any]) -> bool:
    return any("$ref" in each for each in (schema, *schema.get("anyOf", ())))


def _kind(schema: dict[str, Any]) -> str:
    """Return the type of a key in words of TOML."""
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema:
        return " or ".join(f'`"{value}"`' for value in schema["enum"])
    if schema.get("format") == "path":
        return "folder"
    return {"array": "list of strings", "object": "table"}.get(schema["type"], schema["type"])


def main() -> int:
    """Write the pages, or return 1 with `--check` if one of them is another."""
    pages = {
        "Commands": commands,
        "Tables": tables,
        "Configuration": configuration,
        "Portable": portable_words,
        "Python names": python_names,
        "What you may write": what_you_may_write,
    }
    stale = []
    for title, content in pages.items():
        path = FOLDER / f"{title.lower().replace(' ', '-')}.md"
        wanted = f"# {title}\n\n{NOTE}\n\n{content().rstrip()}\n"
        if path.is_file() and path.read_text(encoding="utf-8") == wanted:
            continue
        stale.append(path)
        if "--check" not in sys.argv:
            path.write_text(wanted, encoding="utf-8")
    return int("--check" in sys.argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
