"""The page: what is known of a run, put into one HTML file."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

from streampro.arguments import asks
from streampro.config import Target
from streampro.environment import replacing
from streampro.errors import writes
from streampro.modeling.pipeline import Pipeline
from streampro.pages import asset, environment
from streampro.report.cells import sortable, written
from streampro.report.content import Content, content_of
from streampro.report.run_tables import run_of
from streampro.warehouse.run import Run


@asks
def write_report(
    pipeline: Pipeline,
    target: Target,
    out: Path | str = Path("report.html"),
    run_id: int | None = None,
    *,
    session: Any = None,
) -> Run:
    """Write the report of a run, the newest by default, to a file; return the run.

    The same run gives the same bytes. Where the run lacks models or was built by other code than
    the pipeline's, answers are shown as plain tables, and the page says so. A warehouse on
    a disk or in an object store is read by DuckDB, whoever wrote it, any other by the target's
    engine; `session` is a Spark session for that.

    Raises `ConfigError` where nothing was published, for an unknown run, the warehouse of another
    pipeline and a file that cannot be written, `WarehouseError` for a run that was cleaned or
    whose files are lost.
    """
    run = run_of(pipeline, target, run_id)
    page = _page(content_of(pipeline, target, run, session))
    with writes(f"the report {out}"), replacing(Path(out)) as place:
        place.write_text(page, encoding="utf-8", newline="\n")
    return run


def _page(content: Content) -> str:
    jinja = environment("streampro.report")
    jinja.filters |= {"written": written, "sortable": sortable}
    script = asset("streampro.report", "page.js") + asset("streampro.report", "tables.js")
    return jinja.get_template("page.html").render(
        report=content,
        style=asset("streampro.report", "page.css"),
        library=drawing_library(),
        script=script,
        hashes=[_csp_hash(drawing_library()), _csp_hash(script)],
    )


@cache
def drawing_library() -> Markup:
    """Return Vega, Vega-Lite and Vega-Embed of the version that Altair writes for."""
    major, minor, *_ = alt.SCHEMA_VERSION.removeprefix("v").split(".")
    exported = "window.vegaEmbed = vegaEmbed;"
    return Markup(vl_convert.javascript_bundle(exported, vl_version=f"{major}.{minor}"))


def _csp_hash(script: str) -> str:
    """Return what the page's content security policy says of a script that may run."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
