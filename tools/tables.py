"""Write the table design of the README from the contracts: `make readme`, or `--check`."""

import sys
from pathlib import Path

from streampro.contract import Contract, Rejected, key_of, schema_of
from streampro.viewing import PIPELINE

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- tables: begin (make readme) -->", "<!-- tables: end -->"


def design() -> str:
    """Return a section per table: what a row is, key, columns with type, unit and meaning."""
    parts = [_section(str(built.table), built.contract) for built in PIPELINE.models.values()]
    rejected = ", ".join(f"`{b.rejected}`" for b in PIPELINE.models.values() if b.quarantine)
    parts.append(_section(rejected, Rejected).replace(f"`{rejected}`", rejected))
    return "\n".join(parts)


def _section(title: str, contract: type[Contract]) -> str:
    key = ", ".join(key_of(contract)) or "none"
    if len(key_of(contract)) == len(schema_of(contract)):
        key = "all columns"
    meaning = " ".join((contract.__doc__ or "").split())
    lines = [
        f"<details><summary><code>{title.replace('`', '')}</code> (key: {key})</summary>",
        "",
        meaning,
        "",
        "| column | type | null | unit | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, spec in contract.to_schema().columns.items():
        kind = str(schema_of(contract)[name]).removeprefix("!")
        unit = (spec.metadata or {}).get("unit") or ""
        null = "yes" if spec.nullable else ""
        lines.append(f"| {name} | {kind} | {null} | {unit} | {spec.description} |")
    return "\n".join([*lines, "", "</details>", ""])


def main() -> int:
    """Update the README, or tell with `--check` whether it is up to date."""
    text = README.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    wanted = f"{head}{BEGIN}\n\n{design()}\n{END}{tail}"
    if "--check" in sys.argv:
        return int(text != wanted)
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
