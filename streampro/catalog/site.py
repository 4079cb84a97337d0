"""The site: what is known of a pipeline's tables, put into a folder of pages."""

import json
import os
from collections.abc import Mapping
from ctypes import CDLL
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from streampro.arguments import asks
from streampro.catalog.declared import Declared, Entry
from streampro.catalog.measured import Found, Measured, measured
from streampro.config import Target
from streampro.environment import temporary_folder
from streampro.errors import ConfigError, number_of, printable, writes
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.pages import asset, environment
from streampro.report.cells import sortable, written
from streampro.report.run_tables import run_of
from streampro.warehouse import ledger
from streampro.warehouse.run import Run

_EXCHANGE = 2
"""What `renameat2` is told to do with two places."""
_INDEX = "search.js"
_OURS = "// What the search of this catalog looks through: streampro catalog wrote it.\n"


@asks
def write_catalog(
    pipeline: Pipeline,
    target: Target,
    out: Path | str = Path("catalog"),
    *,
    session: Any = None,
) -> Run | None:
    """Write a site of all tables of a pipeline to a folder; return the run that its numbers are of,
    the newest, or None before the first: then it has what is declared.

    `out` is replaced as a whole, once all is written; what is there must be empty or a catalog. The
    same warehouse and code give the same bytes. No value of a column that is secret, marked
    `personal` or made from such a one is in it. A warehouse is read as `write_report` reads it;
    `session` is a Spark session for one that only Spark reaches.

    Raises `ConfigError` for the warehouse of another pipeline and a folder that cannot be written
    or holds something else, `PipelineError` for an operation whose lineage is not known,
    `WarehouseError` where files of the newest run are lost.
    """
    folder = Path(out).resolve()
    _refuse_others(folder, out)
    declared = Declared(pipeline)
    found = Measured()
    if runs := ledger.runs(target):
        run_of(pipeline, target)
        found = measured(declared, target, runs, session)
    files = _files(Site(declared, found))
    with writes(f"the catalog {out}"):
        _publish(folder, files)
    return found.run


@dataclass(frozen=True)
class Site:
    """All that the pages show."""

    declared: Declared
    measured: Measured

    @property
    def title(self) -> str:
        """Name of the pipeline, for people."""
        name = self.declared.pipeline.name.replace("_", " ")
        return name[:1].upper() + name[1:]

    @property
    def drawing(self) -> Markup | None:
        """All tables and what is built from what, None where there are many."""
        return self.declared.drawing()

    @cached_property
    def layers(self) -> dict[str, list[Entry]]:
        """The entries by layer, in building order, sources last."""
        found: dict[str, list[Entry]] = {}
        for layer, entries in groupby(self.declared.entries, lambda each: each.layer):
            found.setdefault(layer, []).extend(entries)
        return found

    @property
    def facts(self) -> dict[str, str]:
        """The few figures at the top of the first page."""
        kinds = [each.kind for each in self.declared.entries]
        columns = sum(len(each.columns) for each in self.declared.entries if each.kind == "table")
        found = {
            "tables": f"{kinds.count('table'):,}",
            "columns": f"{columns:,}",
            "sources": f"{kinds.count('source'):,}",
        }
        if run := self.measured.run:
            at = written(run.finished_at.replace(microsecond=0), "text")
            found |= {"newest run": f"{run.run_id}, {at}"}
        return found

    def page_of(self, table: TableName) -> str | None:
        """Return the page of a table, None for one that the pipeline no longer has."""
        is_there = any(each.name == table for each in self.declared.entries)
        return self.declared.pages[table.name] if is_there else None


def _files(site: Site) -> dict[str, str]:
    """Return the content of every file by its path."""
    jinja = environment("streampro.catalog", "streampro.report")
    jinja.filters |= {
        "written": written, "sortable": sortable, "hours": _hours, "broken": _broken
    }  # fmt: skip
    found = {
        page: jinja.get_template(page).render(site=site, root="", here=page)
        for page in ("index.html", "lineage.html", "runs.html")
    }
    table = jinja.get_template("table.html")
    for entry in site.declared.entries:
        known = site.measured.tables.get(entry.name)
        found[entry.page] = table.render(site=site, entry=entry, found=known, root="../", here="")
    style = asset("streampro.report", "page.css") + asset("streampro.catalog", "catalog.css")
    script = asset("streampro.report", "tables.js") + asset("streampro.catalog", "catalog.js")
    index = json.dumps([_indexed(each) for each in site.declared.entries], separators=(",", ":"))
    return found | {
        "site.css": style,
        "site.js": script,
        _INDEX: f"{_OURS}const CATALOG = {index};\n",
    }


def _indexed(entry: Entry) -> list[Any]:
    words = " ".join(filter(None, (entry.facts.get("owner"), entry.facts.get("tags"))))
    columns = [[each.name, printable(each.meaning)] for each in entry.columns]
    about = entry.grain or entry.facts.get("files", "")
    return [entry.name, entry.page, printable(about), words, columns]


def _hours(hours: float | None) -> str:
    """Return a number of hours in words."""
    if hours is None:
        return "not known"
    return number_of(round(hours / 24), "day") if hours >= 48 else f"{hours:.1f} h"


def _broken(found: Found) -> int:
    """Return how many rules were broken in the newest run that built a table."""
    newest = [[*each.broken.values()][-1:] for each in found.outcomes]
    return sum(any(each) for each in newest)


def _refuse_others(folder: Path, out: Path | str) -> None:
    """Raise `ConfigError` for a place with something that is no catalog."""
    if not folder.exists():
        return
    index = folder / _INDEX
    is_ours = index.is_file() and index.read_text(encoding="utf-8").startswith(_OURS)
    if not folder.is_dir() or not (is_ours or not any(folder.iterdir())):
        raise ConfigError(
            f"{out} holds something that `streampro catalog` did not write, and would replace. "
            "Name another folder with --out."
        )


def _publish(folder: Path, files: Mapping[str, str]) -> None:
    """Make files all that a folder has: readers find the old ones or the new ones, also where this
    is stopped. Where a system cannot change two folders in one step, a page is the old or the new
    one, and the old ones go when all new ones are there.
    """
    with temporary_folder(folder) as scratch:
        new = scratch / "new"
        for name, text in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        if not folder.exists():
            new.rename(folder)
        elif not _exchanged(new, folder):
            for name in reversed([*files]):  # what says that the folder is ours first
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).replace(folder / name)
            for path in [*folder.rglob("*")]:
                if path.is_file() and path.relative_to(folder).as_posix() not in files:
                    path.unlink()


def _exchanged(one: Path, other: Path) -> bool:
    """Tell whether two folders have changed their places, which Linux does in one step."""
    rename = getattr(CDLL(None), "renameat2", None)
    here = -100  # of a path that does not begin at the root
    paths = (os.fsencode(each) for each in (one, other))
    return rename is not None and not rename(here, next(paths), here, next(paths), _EXCHANGE)
