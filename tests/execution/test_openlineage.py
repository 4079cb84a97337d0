"""What the official OpenLineage client is given to send; its file transport writes it down."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pipelines.shop import SHOP, write_raw

import streampro
from streampro import ComputationError, ConfigError, ContractError, Target
from streampro.config import OpenLineageSettings, load_target
from streampro.execution.openlineage import dataset_name
from streampro.location import Remote
from streampro.storage.place import place_of
from streampro.testing import Workbench

TOO_MUCH = """\
{"shop": "a", "day": "2024-05-01", "amount": "9223372036854775807"}
{"shop": "a", "day": "2024-05-02", "amount": "9223372036854775807"}
"""
FORTY_TWO = '{"shop": "d", "day": "2024-05-01", "amount": "-42"}\n'


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "CONFIG", "DISABLED"):
        monkeypatch.delenv(f"OPENLINEAGE_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    transport = {"type": "file", "log_file_path": str(tmp_path / "events.jsonl"), "append": True}
    return Target(
        name="test",
        raw=write_raw(tmp_path / "raw"),
        warehouse=tmp_path / "warehouse",
        openlineage=OpenLineageSettings(namespace="shops", transport=transport),
    )


def events(target: Target) -> list[dict[str, Any]]:
    text = (Path(str(target.raw)).parent / "events.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def rows_written(event: dict[str, Any]) -> dict[str, int | None]:
    return {
        "/".join(table["name"].split("/")[-2:]): table.get("outputFacets", {})
        .get("outputStatistics", {})
        .get("rowCount")
        for table in event["outputs"]
    }


@pytest.mark.slow
@pytest.mark.thorough("spark")
def test_a_run_is_start_and_complete_of_one_job(engine: Workbench, target: Target) -> None:
    engine.run(SHOP, target)
    start, complete = events(target)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    for event in (start, complete):
        assert (event["job"]["namespace"], event["job"]["name"]) == ("shops", "shop")
        assert [(each["namespace"], each["name"]) for each in event["inputs"]] == [
            ("file", f"{target.raw}/raw_sales"),
            ("file", f"{target.raw}/raw_shops"),
        ]
        assert [(each["namespace"], each["name"]) for each in event["outputs"]] == [
            ("file", f"{target.warehouse}/staging/sales"),
            ("file", f"{target.warehouse}/staging/sales_rejected"),
            ("file", f"{target.warehouse}/staging/shops"),
            ("file", f"{target.warehouse}/mart/revenue"),
        ]
    assert complete["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == 6
    assert rows_written(complete) == {
        "staging/sales": 3,
        "staging/sales_rejected": 2,
        "staging/shops": 2,
        "mart/revenue": 2,
    }
    assert {table["facets"]["version"]["datasetVersion"] for table in complete["outputs"]} == {"0"}
    facets = complete["run"]["facets"]
    assert facets["processing_engine"]["name"] == engine.name
    assert {"key": "streampro_run", "value": "1", "source": "STREAMPRO"} in facets["tags"]["tags"]


@pytest.mark.slow
def test_tables_carry_the_columns_of_their_contracts(target: Target) -> None:
    streampro.run(SHOP, target)
    start, _ = events(target)
    fields = start["outputs"][3]["facets"]["schema"]["fields"]
    assert [(each["name"], each["type"], each["description"]) for each in fields] == [
        ("shop", "string", "Shop."),
        ("city", "string", "Its city, null where unknown."),
        ("sales", "int64", "Sales."),
        ("amount", "int64", "Sum of the prices."),
    ]


def test_columns_carry_what_they_are_made_from(target: Target) -> None:
    streampro.run(SHOP, target)
    _, complete = events(target)
    lineage = complete["outputs"][3]["facets"]["columnLineage"]

    def told(fields: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
        return [
            (each["name"].rpartition("/")[2], each["field"], each["transformations"][0]["type"])
            for each in fields
        ]

    assert told(lineage["fields"]["amount"]["inputFields"]) == [("sales", "amount", "DIRECT")]
    assert told(lineage["fields"]["city"]["inputFields"]) == [("shops", "city", "DIRECT")]
    assert sorted(told(lineage["dataset"])) == [
        ("sales", "shop", "INDIRECT"),
        ("shops", "shop", "INDIRECT"),
    ]


@pytest.mark.slow
def test_a_second_run_tells_what_it_wrote_and_a_third_that_it_wrote_nothing(target: Target) -> None:
    streampro.run(SHOP, target)
    new = '{"shop": "a", "day": "2024-06-01", "amount": "1"}\n{"shop": "a"}\n'
    (Path(str(target.raw)) / "sales2.jsonl").write_text(new, encoding="utf-8")
    streampro.run(SHOP, target)
    streampro.run(SHOP, target)
    _, _, _, second, _, third = events(target)
    assert rows_written(second) == {
        "staging/sales": 1,
        "staging/sales_rejected": 1,
        "staging/shops": None,
        "mart/revenue": 1,
    }
    assert second["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == 2
    assert set(rows_written(third).values()) == {None}
    versions = [table["facets"]["version"]["datasetVersion"] for table in third["outputs"]]
    assert versions == ["1", "1", "0", "1"]


def test_a_run_that_fails_tells_why_but_shows_no_row(target: Target) -> None:
    (Path(str(target.raw)) / "sales.jsonl").write_text(FORTY_TWO, encoding="utf-8")
    with pytest.raises(ContractError, match="-42"):
        streampro.run(SHOP, target)
    start, fail = events(target)
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    assert fail["run"]["runId"] == start["run"]["runId"]
    assert fail["run"]["facets"]["errorMessage"]["message"] == (
        "ContractError: mart.revenue broke 1 rule: amount greater_than_or_equal_to(0) in 1 rows. "
        "Nothing was published; the table does not exist yet. First rows:"
    )
    assert "-42" not in json.dumps(fail)


@pytest.mark.slow
@pytest.mark.thorough("spark")
def test_of_a_stopped_computation_only_what_stands_before_its_message_is_sent(
    engine: Workbench, target: Target
) -> None:
    (Path(str(target.raw)) / "sales.jsonl").write_text(TOO_MUCH, encoding="utf-8")
    with pytest.raises(ComputationError) as raised:
        engine.run(SHOP, target)
    _, fail = events(target)
    told = fail["run"]["facets"]["errorMessage"]["message"]
    assert told == f"ComputationError: {str(raised.value).split(': ')[0]}"
    assert "922337" not in json.dumps(fail)
    assert "184467" not in json.dumps(fail)


@pytest.mark.slow
def test_of_a_foreign_error_only_its_type_is_sent(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("secret")

    monkeypatch.setattr("streampro.execution.runner.publish", broken)
    with pytest.raises(ValueError, match="secret"):
        streampro.run(SHOP, target)
    _, fail = events(target)
    assert fail["run"]["facets"]["errorMessage"]["message"] == "ValueError"


@pytest.mark.slow
def test_nothing_of_the_repository_is_sent(target: Target, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("0123456789012345678901234567890123456789\n")
    remote = '[remote "origin"]\n\turl = https://me:password@host/project.git\n'
    (tmp_path / ".git" / "config").write_text(remote)
    streampro.run(SHOP, target)
    assert "password" not in json.dumps(events(target))


def test_a_run_that_was_interrupted_is_aborted(target: Target) -> None:
    class Impatient:
        def step(self, what: str, progress: object) -> Any:
            raise KeyboardInterrupt

        def staged(self, *_: object) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        streampro.run(SHOP, target, watcher=Impatient())
    assert [event["eventType"] for event in events(target)] == ["START", "ABORT"]


@pytest.mark.slow
def test_what_tries_runs_in_temporary_warehouses_tells_nothing(target: Target) -> None:
    streampro.plan(SHOP, target)
    streampro.prove(SHOP, target, target)
    streampro.check_incremental(SHOP, target, parts=2)
    assert not (Path(str(target.raw)).parent / "events.jsonl").exists()


@pytest.mark.slow
def test_a_transport_that_fails_is_a_warning_and_the_run_goes_on(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    away = {"type": "file", "log_file_path": "/no/such/folder/events", "append": True}
    settings = OpenLineageSettings(transport=away)
    run = streampro.run(SHOP, target.model_copy(update={"openlineage": settings}))
    assert run.run_id == 1
    told = [record.getMessage() for record in caplog.records if record.name == "streampro"]
    assert [message[:41] for message in told] == [
        "the OpenLineage event START was not sent:",
        "the OpenLineage event COMPLETE was not se",
    ]
    assert {record.levelno for record in caplog.records if record.name == "streampro"} == {
        logging.WARNING
    }


def test_settings_that_the_client_refuses_stop_the_run_before_it_starts(target: Target) -> None:
    for transport, told in (
        ({}, "nothing says where events go"),
        ({"type": "pigeon"}, "the OpenLineage client refuses its settings"),
    ):
        settings = OpenLineageSettings(transport=transport)
        with pytest.raises(ConfigError, match=told):
            streampro.run(SHOP, target.model_copy(update={"openlineage": settings}))
    assert not Path(str(target.warehouse)).exists()


@pytest.mark.slow
def test_the_client_s_own_file_says_where_events_go(target: Target, tmp_path: Path) -> None:
    (tmp_path / "openlineage.yml").write_text(
        f"transport:\n  type: file\n  append: true\n  log_file_path: {tmp_path}/events.jsonl\n"
    )
    streampro.run(SHOP, target.model_copy(update={"openlineage": OpenLineageSettings()}))
    assert [event["job"]["namespace"] for event in events(target)] == ["default", "default"]


@pytest.mark.slow
def test_without_the_client_the_error_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['openlineage'] = None\n"
        "from streampro.cli import main; sys.argv = ['streampro', 'run']; main()"
    )
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "local.toml").write_text(
        f'raw = "{Path(__file__).parents[2]}/data/sample"\n[openlineage]\nnamespace = "a"\n'
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "error: the target has a section [openlineage], which needs the official client: "
        "pip install 'streampro[openlineage]'.\n",
    )


def test_section_of_a_target_s_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEAGE_KEY", "k")
    (tmp_path / "nightly.toml").write_text(
        '[openlineage]\nnamespace = "n"\n[openlineage.transport]\ntype = "http"\n'
        'url = "https://lineage.example"\nauth = { type = "api_key", apiKey = "${LINEAGE_KEY}" }\n'
    )
    found = load_target("nightly", tmp_path).openlineage
    assert found == OpenLineageSettings(
        namespace="n",
        transport={
            "type": "http",
            "url": "https://lineage.example",
            "auth": {"type": "api_key", "apiKey": "k"},
        },
    )
    (tmp_path / "nightly.toml").write_text('[openlineage]\nname = "n"\n')
    with pytest.raises(ConfigError, match=r"unknown key 'openlineage.name'. Did you mean"):
        load_target("nightly", tmp_path)


@pytest.mark.parametrize(
    ("place", "named"),
    [
        (Path("/data/w/mart/revenue"), ("file", "/data/w/mart/revenue")),
        (Remote("s3a://bucket/w/mart"), ("s3://bucket", "w/mart")),
        (Remote("gs://bucket/w"), ("gs://bucket", "w")),
        (Remote("hdfs://host:8020/w"), ("hdfs://host:8020", "/w")),
        (Remote("file:///data/w"), ("file", "/data/w")),
        (Remote("s3a://me:password@bucket/w"), ("s3://bucket", "w")),
        (Remote("hdfs://me:pass@word@host:8020/w"), ("hdfs://host:8020", "/w")),
        (Remote("abfss://box@account.net/w"), ("abfss://box@account.net", "/w")),
    ],
)
def test_places_are_named_as_openlineage_names_them(
    place: Path | Remote, named: tuple[str, str]
) -> None:
    assert dataset_name(place_of(place)) == named
