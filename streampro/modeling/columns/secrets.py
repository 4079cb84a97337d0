"""Where a secret of a source would be stored, and where what tells of a person is, told from the
lineage, before any data is read.
"""

from streampro.expressions.columns import ColumnRef, How
from streampro.modeling.columns.lineage import Lineage
from streampro.modeling.contract import Rejected
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.spec import spec_of

_RAW_LINE = "raw_line"


def leaks(pipeline: Pipeline) -> list[str]:
    """Return a sentence per stored column whose values are copied or computed from a secret.

    Secret are the fields of a source that it calls so, and `raw_line` of a source with a secret,
    but for the rejected lines, in which StreamPro masks it. What a secret only decides, such as a
    reason to reject a line, does not hold it.
    """
    sources = [source for source in pipeline.sources.values() if source.secret]
    secret = {ColumnRef(each.name, field) for each in sources for field in each.secret_fields}
    texts = {ColumnRef(source.name, _RAW_LINE) for source in sources}
    if not sources:
        return []
    lineage = Lineage(pipeline)
    found = []
    for table, rows in lineage.tables.items():
        for column in (ColumnRef(table, name) for name in rows.columns):
            for origin, path in _values(lineage, column).items():
                if origin in secret or (origin in texts and not _is_masked(lineage, column, path)):
                    found.append(_sentence(lineage, column, origin, path))
    return found


def personal_columns(pipeline: Pipeline) -> dict[TableName, frozenset[str]]:
    """Return by table the columns that tell of a person: those marked `personal`, and texts whose
    values are copied or computed from one. Tables without any are left out.
    """
    marked = {
        ColumnRef(model.name, name)
        for model in pipeline.models.values()
        for name in model.spec.columns.keys() - model.spec.bounded
    }
    if not marked:
        return {}
    lineage = Lineage(pipeline)
    found: dict[TableName, frozenset[str]] = {}
    for model in pipeline.models.values():
        columns = {ColumnRef(model.name, name): kind for name, kind in model.spec.schema.items()}
        personal = frozenset(
            column.column
            for column, kind in columns.items()
            if column in marked
            or (kind.is_string() and not marked.isdisjoint(_values(lineage, column)))
        )
        found |= {model.table: personal} if personal else {}
    return found


def withheld_columns(pipeline: Pipeline) -> frozenset[ColumnRef]:
    """Return the columns of tables and sources of which nothing that is made for readers shows a
    value: secret ones, those marked `personal`, fields that these copy, lines in which one of them
    stands, and all whose values are copied or computed from these.
    """
    lineage = Lineage(pipeline)
    tables = {table.name: spec_of(Rejected) for table in pipeline.tables()}
    tables |= {model.name: model.spec for model in pipeline.models.values()}
    found = {
        ColumnRef(table, name)
        for table, spec in tables.items()
        for name in spec.columns.keys() - spec.bounded
    }
    fields = [each for column in found for each in lineage.fields(column) if each.how != "decides"]
    found |= {each.column for each in fields if each.how == "copied"}
    found |= {ColumnRef(each.column.table, _RAW_LINE) for each in fields}
    for source in pipeline.sources.values():
        found |= {ColumnRef(source.name, field) for field in source.secret_fields}
        found |= {ColumnRef(source.name, _RAW_LINE)} if source.secret else set()
    for table, rows in lineage.tables.items():
        for column in (ColumnRef(table, name) for name in rows.columns):
            origins = (each.column for each in lineage.origins(column) if each.how != "decides")
            if not found.isdisjoint(origins):
                found.add(column)
    return frozenset(found)


_Path = tuple[tuple[ColumnRef, How], ...]
"""The columns on the way from a field to a column, and how each comes from the one before."""


def _values(lineage: Lineage, column: ColumnRef) -> dict[ColumnRef, _Path]:
    """Return every column that the values of a column come from, with the shortest way."""
    found: dict[ColumnRef, _Path] = {}
    todo: list[tuple[ColumnRef, _Path]] = [(column, ())]
    while todo:
        each, path = todo.pop(0)
        for origin in lineage.origins(each):
            if origin.how != "decides" and origin.column not in found:
                found[origin.column] = ((each, origin.how), *path)
                todo.append((origin.column, found[origin.column]))
    return found


def _is_masked(lineage: Lineage, column: ColumnRef, path: _Path) -> bool:
    """Tell whether it is the text of rejected lines, handed on from the source as it is."""
    rejected = {m.rejected.name for m in lineage.pipeline.models.values() if m.quarantine}
    return column in {ColumnRef(name, _RAW_LINE) for name in rejected} and path == (
        (column, "copied"),
    )


def _sentence(lineage: Lineage, column: ColumnRef, origin: ColumnRef, path: _Path) -> str:
    steps = (f"{lineage.shown(each)} ({how})" for each, how in path)
    what = lineage.shown(origin)
    if origin.column == _RAW_LINE:
        secrets = ", ".join(lineage.pipeline.sources[origin.table].secret)
        what += f", text in which {secrets} stands"
    return (
        f"{lineage.shown(column)} would hold the secret {what}: "
        f"{' -> '.join((lineage.shown(origin), *steps))}. "
        "Leave it out, or let it only decide, as in a filter or the condition of a case."
    )
