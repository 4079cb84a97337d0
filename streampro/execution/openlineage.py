"""Runs told as OpenLineage events by the official client, where the target asks for it.

A run is START, then COMPLETE, or FAIL (ABORT where it was interrupted). The job is the pipeline,
in the namespace of the target; inputs are the sources, outputs the tables that the run was asked
to build. No row of data is sent: of an error's message at most the first line, which names tables,
rules and counts, and nothing that an engine or a file put into it.
"""

import copy
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from streampro.addresses import address_of, table_of
from streampro.config import OpenLineageSettings, Target
from streampro.errors import ConfigError, StreamProError, hidden
from streampro.expressions.columns import ROWS, ColumnRef
from streampro.expressions.nulls import may_be_null
from streampro.modeling.columns.lineage import Lineage
from streampro.modeling.contract import Rejected
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.spec import spec_of
from streampro.storage.place import Place, place_of
from streampro.warehouse.run import PublishedTable, Run

try:
    from openlineage.client import OpenLineageClient, event_v2
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent, RunState
    from openlineage.client.facet_v2 import (
        DatasetFacet,
        RunFacet,
        column_lineage_dataset,
        dataset_version_dataset,
        error_message_run,
        input_statistics_input_dataset,
        job_type_job,
        output_statistics_output_dataset,
        processing_engine_run,
        schema_dataset,
        tags_run,
    )
    from openlineage.client.transport.console import ConsoleTransport
    from openlineage.client.uuid import generate_new_uuid
except ImportError as error:
    raise ConfigError(
        "the target has a section [openlineage], which needs the official client: "
        "pip install 'streampro[openlineage]'."
    ) from error

_LOG = logging.getLogger("streampro")
_LONGEST_WAIT_S = 10.0
"""For events that are still on their way when the run has ended."""
_BUCKETS = {"s3a": "s3", "s3n": "s3", "s3": "s3", "gs": "gs"}
"""Stores whose names have no leading slash, and how OpenLineage spells their schemes."""
_SILENT_ON_THE_REPOSITORY = {"facets": {"source_code_location": {"disabled": True}}}
"""The client would send the address of the working directory's git remote, a password included."""
_PASSWORD = re.compile(r"//[^/\s@]*:[^/\s]*@")
"""A user and a password in an address."""
_HOW = {
    "copied": column_lineage_dataset.Transformation("DIRECT", "IDENTITY"),
    "computed": column_lineage_dataset.Transformation("DIRECT", "TRANSFORMATION"),
    "decides": column_lineage_dataset.Transformation("INDIRECT"),
}


def reported(
    work: Callable[[], Run],
    settings: OpenLineageSettings,
    pipeline: Pipeline,
    target: Target,
    models: Sequence[Model],
) -> Run:
    """Return what `work` returns, after telling its start and its end.

    An event that cannot be sent is a warning in the log `streampro`, and changes nothing of the
    run. Raises `ConfigError` for settings that the client refuses, before the start.
    """
    teller = _Teller(settings, pipeline, target, models)
    teller.tell("START")
    try:
        run = work()
    except BaseException as error:
        teller.tell("FAIL" if isinstance(error, Exception) else "ABORT", error=error)
        raise
    else:
        teller.tell("COMPLETE", run)
    finally:
        teller.close()
    return run


def dataset_name(place: Place) -> tuple[str, str]:
    """Return the namespace and the name that OpenLineage gives a file or folder.

    A user with a password is left out; the container of `abfss://container@account` is not.
    """
    if place.is_local:
        return "file", place.path.absolute().as_posix()
    scheme, host, path, *_ = urlsplit(_PASSWORD.sub("//", str(place)))
    if scheme in _BUCKETS:
        return f"{_BUCKETS[scheme]}://{host}", path.strip("/")
    return f"{scheme}://{host}" if host else scheme, path


class _Teller:
    """One run of a pipeline as OpenLineage has it."""

    def __init__(
        self,
        settings: OpenLineageSettings,
        pipeline: Pipeline,
        target: Target,
        models: Sequence[Model],
    ) -> None:
        self.client = _client(settings, target)
        self.run_id = str(generate_new_uuid())
        self.namespace = settings.namespace
        self.pipeline = pipeline
        self.target = target
        self.models = models
        self.lineage = Lineage(pipeline)

    def tell(self, state: str, run: Run | None = None, error: BaseException | None = None) -> None:
        """Send an event, or log that it could not be sent."""
        try:
            self.client.emit(self._event(state, run, error))
        except Exception as fault:
            _LOG.warning("the OpenLineage event %s was not sent: %s", state, hidden(str(fault)))

    def close(self) -> None:
        """Wait for events that are on their way."""
        try:
            self.client.close(_LONGEST_WAIT_S)
        except Exception as fault:
            _LOG.warning("the OpenLineage client could not be closed: %s", hidden(str(fault)))

    def _event(self, state: str, run: Run | None, error: BaseException | None) -> RunEvent:
        kind = job_type_job.JobTypeJobFacet("BATCH", "STREAMPRO", "JOB")
        read = dict.fromkeys(name for model in self.models for name in model.inputs)
        return RunEvent(
            eventType=RunState[state],
            eventTime=datetime.now(UTC).isoformat(),
            producer=f"urn:streampro:{version('streampro')}",
            run=event_v2.Run(self.run_id, _run_facets(run) | _error_facets(error)),
            job=event_v2.Job(self.namespace, self.pipeline.name, {"jobType": kind}),
            inputs=[
                dataset
                for name in read
                if name in self.pipeline.sources
                for dataset in self._inputs(name, run)
            ],
            outputs=[
                self._output(model, table, run)
                for model in self.models
                for table in ((model.table, model.rejected) if model.quarantine else (model.table,))
            ],
        )

    def _inputs(self, source: str, run: Run | None) -> list[InputDataset]:
        """Return what a source reads; the lines of several tables are not told of each."""
        kinds = self.pipeline.sources[source].kinds
        lines = {account.source: account.lines for account in (run.books if run else ())}
        statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet
        places = self._places(source)
        is_told = source in lines and len(places) == 1
        return [
            InputDataset(
                *place,
                {"inputStatistics": statistics(lines[source])} if is_told else {},
                facets={"schema": _schema(kinds)},
            )
            for place in places
        ]

    def _output(self, model: Model, table: TableName, run: Run | None) -> OutputDataset:
        contract = Rejected if table == model.rejected else model.contract
        columns = spec_of(contract).columns
        descriptions = {name: spec.description or "" for name, spec in columns.items()}
        types = may_be_null(spec_of(contract).schema)
        facets: dict[str, DatasetFacet] = {"schema": _schema(types, descriptions)}
        published = run.table(table) if run else None
        if run is None or published is None:
            return OutputDataset(*self._table(table.name), facets=facets)
        versions = dataset_version_dataset.DatasetVersionDatasetFacet
        facets["version"] = versions(str(published.version))
        facets["columnLineage"] = self._column_lineage(table, [*columns])
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
        written = _rows_written(model, published, run)
        return OutputDataset(
            *self._table(table.name),
            {} if written is None else {"outputStatistics": statistics(written)},
            facets=facets,
        )

    def _column_lineage(self, table: TableName, columns: Sequence[str]) -> DatasetFacet:
        """Return what each column is made from, and what decides which rows there are."""
        rows = self._fields(ColumnRef(table.name, ROWS))
        fields = {name: self._fields(ColumnRef(table.name, name)) for name in columns}
        return column_lineage_dataset.ColumnLineageDatasetFacet(
            {
                name: column_lineage_dataset.Fields([each for each in found if each not in rows])
                for name, found in fields.items()
            },
            rows,
        )

    def _fields(self, column: ColumnRef) -> list[column_lineage_dataset.InputField]:
        return [
            column_lineage_dataset.InputField(*place, origin.column.column, [_HOW[origin.how]])
            for origin in self.lineage.origins(column)
            if origin.column.column != ROWS
            for place in self._places(origin.column.table)
        ]

    def _places(self, name: str) -> list[tuple[str, str]]:
        """Return namespaces and names of what a source reads, or of a table."""
        source = self.pipeline.sources.get(name)
        if not source:
            return [self._table(name)]
        if source.is_in_database:
            tables = [table_of(file) for file in source.files]
            databases = self.target.databases
            return [address_of(each, databases[each]).dataset(table) for each, table in tables]
        raw = self.target.raw_of(name)
        assert raw is not None
        return [dataset_name(place_of(raw) / name)]

    def _table(self, name: str) -> tuple[str, str]:
        """Return namespace and name of a table."""
        table = next(table for table in self.pipeline.tables() if table.name == name)
        return dataset_name(place_of(self.target.warehouse).table(table))


def _rows_written(model: Model, table: PublishedTable, run: Run) -> int | None:
    """Return the rows that a run wrote of a table, None if it left the table as it was.

    Of an incremental run these are the added and the changed rows.
    """
    if table.seconds is None:
        return None
    [change] = (each for each in run.changes if each.table == model.table)
    if change.mode == "full":
        return table.rows
    if table.table == change.table:
        return (change.added or 0) + (change.changed or 0)
    return sum(account.rejected for account in run.books if account.source in model.inputs)


def _schema(
    types: Mapping[str, object], descriptions: Mapping[str, str] | None = None
) -> DatasetFacet:
    field = schema_dataset.SchemaDatasetFacetFields
    return schema_dataset.SchemaDatasetFacet(
        [field(name, str(kind), (descriptions or {}).get(name)) for name, kind in types.items()]
    )


def _run_facets(run: Run | None) -> dict[str, RunFacet]:
    """Return which engine computed, and the number by which StreamPro knows the run."""
    if run is None:
        return {}
    engine = processing_engine_run.ProcessingEngineRunFacet(
        run.packages[run.engine], run.engine, version("streampro")
    )
    number = tags_run.TagsRunFacetFields("streampro_run", str(run.run_id), "STREAMPRO")
    return {"processing_engine": engine, "tags": tags_run.TagsRunFacet([number])}


def _error_facets(error: BaseException | None) -> dict[str, RunFacet]:
    if error is None:
        return {}
    message = ": ".join(filter(None, [type(error).__name__, _own_words(error)]))
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(message, "PYTHON")}


def _own_words(error: BaseException) -> str:
    """Return of an error's message what cannot hold a value of the data.

    An engine quotes cells; a file without a header has a row where its columns are expected.
    """
    if not isinstance(error, StreamProError):
        return ""
    first_line = _PASSWORD.sub("//", next(iter(str(error).splitlines()), ""))
    return first_line.partition(": ")[0] if error.may_quote else first_line


def _client(settings: OpenLineageSettings, target: Target) -> OpenLineageClient:
    """Return a client. Raises `ConfigError` if it has no transport or refuses that it has."""
    given: dict[str, Any] = copy.deepcopy(_SILENT_ON_THE_REPOSITORY)
    if settings.transport:
        given["transport"] = copy.deepcopy(settings.transport)
    try:
        client = OpenLineageClient(config=given)
        asked = (client.config.transport or {}).get("type")
    except Exception as error:
        raise ConfigError(
            f"target {target.name!r}: the OpenLineage client refuses its settings: {error}"
        ) from error
    if isinstance(client.transport, ConsoleTransport) and asked != "console":
        raise ConfigError(
            f"target {target.name!r} has [openlineage], but nothing says where events go: give "
            "[openlineage.transport] with `type` and `url`, or set OPENLINEAGE_URL."
        )
    return client
