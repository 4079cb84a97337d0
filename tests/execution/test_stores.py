"""Raw folder and warehouse in an object store: the same rows as on a disk, whatever goes wrong."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import obstore
import pytest
from deltalake import DeltaTable
from killed import killed
from pipelines.shop import SALES, SHOP, write_raw
from published import contents
from servers import Lake
from warm_streampro import Commands

import streampro
from streampro.config import Target
from streampro.engines.registry import connect
from streampro.errors import ConfigError, EngineError, OvertakenError, SourceError
from streampro.execution.runner import plan, run
from streampro.location import Remote
from streampro.storage import merge
from streampro.warehouse import ledger
from streampro.warehouse.snapshot import tables
from streampro.warehouse.upkeep.retention import rollback

MORE = '{"shop": "b", "day": "2024-05-07", "amount": "3"}\n{"shop": "d"}\n'
COMMIT = r"^PUT .*runs/_delta_log/[0-9]+\.json"
"""The request by which a run is published."""


@pytest.fixture
def here(tmp_path: Path) -> Target:
    return Target(name="here", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


@pytest.fixture
def there(lake: Lake, here: Target) -> Target:
    raw = lake.put(Path(str(here.raw)), "raw")
    return Target(name="there", raw=raw, warehouse=Remote(f"{lake.url}/a/warehouse"))


def add_more(lake: Lake, here: Target, name: str = "sales-2.jsonl", text: str = MORE) -> None:
    (Path(str(here.raw)) / name).write_text(text, encoding="utf-8")
    obstore.put(lake.store, f"raw/{name}", text.encode())


def test_a_store_has_the_rows_of_a_disk(
    lake: Lake, here: Target, there: Target, tmp_path: Path
) -> None:
    for target in (here, there):
        assert run(SHOP, target).kind == "full"
    assert contents(there) == contents(here)
    add_more(lake, here)
    assert plan(SHOP, there).books == plan(SHOP, here).books
    for target in (here, there):
        assert run(SHOP, target).kind == "incremental"
    assert contents(there) == contents(here)
    assert contents(there, 1) == contents(here, 1)
    asked = "mart.revenue", "shop = 'a'"
    [one, other] = (
        streampro.explain(SHOP, each, asked[0], where=asked[1]) for each in (here, there)
    )
    assert one.lines == other.lines
    assert one.lines
    exported = [tmp_path / f"{each.name}.csv" for each in (here, there)]
    for target, file in zip((here, there), exported, strict=True):
        streampro.export("mart.revenue", target, to=str(file))
    assert exported[0].read_text() == exported[1].read_text()
    assert rollback(there, 1).run_id == 3
    assert contents(there) == contents(here, 1)
    assert [each.run_id for each in streampro.runs(there)] == [1, 2, 3]


@pytest.mark.thorough
def test_proofs_and_trials_copy_the_raw_files(there: Target) -> None:
    assert streampro.prove(SHOP, there, there.model_copy(update={"name": "other"})).equal
    assert streampro.check_incremental(SHOP, there, parts=2).runs == 2


def test_nothing_new_writes_nothing_and_asks_little(
    lake: Lake, here: Target, there: Target
) -> None:
    run(SHOP, there)
    lake.requests()
    assert run(SHOP, there).run_id == 1
    few = lake.requests()
    assert {line.split()[0] for line in few} <= {"GET", "HEAD"}
    for number in range(20):
        add_more(lake, here, f"sales-{number + 10}.jsonl")
    run(SHOP, there)
    lake.requests()
    run(SHOP, there)
    assert len(lake.requests()) <= len(few) + 12  # for entries of logs, none for raw files


@pytest.mark.parametrize("asked", ["_streampro", "raw"])
def test_a_store_that_refuses_is_told_in_one_line(lake: Lake, there: Target, asked: str) -> None:
    lake.spoil("denied", 1000, f"^GET .*{asked}")
    with pytest.raises(ConfigError, match=r"AccessDenied: No\.") as refused:
        run(SHOP, there)
    assert "<" not in str(refused.value)
    assert "xxx" not in str(refused.value)


def test_a_bucket_that_is_not_there_is_told_in_one_line(there: Target) -> None:
    nowhere = there.model_copy(update={"warehouse": Remote("s3://nowhere-at-all/w")})
    for ask in (partial(run, SHOP), partial(streampro.repair, SHOP), tables, streampro.runs):
        with pytest.raises(ConfigError, match="NoSuchBucket: The specified bucket") as refused:
            ask(nowhere)
        assert "<" not in str(refused.value)


def test_what_is_new_is_read_once_and_each_entry_of_a_log_as_often_whatever_is_read(
    lake: Lake, here: Target, there: Target
) -> None:
    run(SHOP, there)
    add_more(lake, here)
    lake.requests()
    run(SHOP, there)
    requests = lake.requests()
    raw = [line for line in requests if "/raw/" in line and line.startswith("GET")]
    assert [line.split("?")[0].rsplit("/", 1)[1] for line in raw] == ["sales-2.jsonl"]
    entries = Counter(each for each in requests if re.match(r"GET .*_delta_log/0.*json", each))
    tables = {name.split("/_delta_log")[0].split("/", 3)[3]: n for name, n in entries.items()}
    assert max(entries.values()) <= 9, tables  # twice each: staging, merging, committing


def test_names_of_files_are_as_in_the_store(lake: Lake, there: Target) -> None:
    odd = ["sales a+b%20.jsonl", "sales#?é日.jsonl", "sales=&~'.jsonl"]
    for name in odd:
        obstore.put(lake.store, f"raw/{name}", SALES.encode())
    obstore.put(lake.store, "raw/_sales.jsonl", b"hidden")
    obstore.put(lake.store, "raw/other.txt", b"not read")
    done = run(SHOP, there)
    assert sorted(file.path for file in done.inputs if "jsonl" in file.path) == sorted(
        [*odd, "sales.jsonl"]
    )
    assert plan(SHOP, there).unread_files == ("other.txt",)


def test_of_two_runs_at_once_one_is_published(
    lake: Lake, here: Target, there: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other finds its tables made by somebody else, and its number taken."""
    append = ledger.append
    for number in (1, 2):
        began: list[bool] = []

        def late(*args: Any, began: list[bool] = began) -> Any:
            if not began:
                began.append(True)
                run(SHOP, there)
            return append(*args)

        with monkeypatch.context() as patch:
            patch.setattr(ledger, "append", late)
            with pytest.raises(OvertakenError, match=r"published .* meanwhile.* run again"):
                run(SHOP, there)
        run(SHOP, here)
        assert contents(there) == contents(here)
        assert [each.run_id for each in streampro.runs(there)] == [*range(1, number + 1)]
        assert run(SHOP, there).kind == "unchanged"
        add_more(lake, here)


@pytest.mark.parametrize(
    "match",
    [
        COMMIT,
        pytest.param(r"^PUT .*revenue/_delta_log/[0-9]+\.json", marks=pytest.mark.thorough),
    ],
)
def test_a_commit_that_nobody_heard_of_counts(
    match: str, lake: Lake, here: Target, there: Target
) -> None:
    """The store wrote the entry, and the connection was cut: it is ours when it is asked again."""
    for _ in range(2):
        lake.spoil("unheard", 1, match)
        assert run(SHOP, there).tables
        run(SHOP, here)
        assert contents(there) == contents(here)
        add_more(lake, here)


@pytest.mark.parametrize(
    "kind",
    [
        "cut",
        *(pytest.param(each, marks=pytest.mark.thorough) for each in ("unheard", "busy", "slow")),
    ],
)
def test_faults_of_a_store_are_tried_again(
    kind: str, lake: Lake, here: Target, there: Target
) -> None:
    for method in ("(PUT|POST)", "(GET|HEAD)"):
        lake.spoil(kind, 3, f"^{method} ")
        run(SHOP, there)
        run(SHOP, here)
        add_more(lake, here)
    assert contents(there) == contents(here)


@pytest.mark.thorough
def test_a_store_that_fails_for_good_is_told_and_nothing_is_lost(
    lake: Lake, here: Target, there: Target
) -> None:
    run(SHOP, there)
    run(SHOP, here)
    add_more(lake, here)
    before = contents(there)
    lake.spoil("busy", 500, COMMIT)
    with pytest.raises(EngineError, match="503") as raised:
        run(SHOP, there)
    assert "\n" not in str(raised.value)
    assert "repair" not in str(raised.value)
    lake.spoil("none", 0)
    assert contents(there) == before
    assert run(SHOP, there).kind == "incremental"
    run(SHOP, here)
    assert contents(there) == contents(here)


def test_a_store_that_is_not_there_is_told(there: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = there.model_copy(update={"raw": Remote("s3://no-such-bucket/raw")})
    with pytest.raises(ConfigError, match=r"s3://no-such-bucket/raw.* cannot be listed"):
        run(SHOP, lost)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = there.model_copy(update={"warehouse": Remote("s3://another-bucket/w")})
    with pytest.raises(EngineError, match="Connection refused") as raised:
        run(SHOP, away)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "number"),
    [
        pytest.param("after move", 2, marks=pytest.mark.thorough),
        pytest.param("after publish", 2, marks=pytest.mark.thorough),
        ("before ledger", 1),
    ],
)
def test_a_killed_run_leaves_what_was_published(
    point: str, number: int, lake: Lake, here: Target, there: Target, commands: Commands
) -> None:
    run(SHOP, there)
    run(SHOP, here)
    before = contents(there)
    add_more(lake, here)
    killed(commands, there, point, number)
    assert contents(there) == before
    run(SHOP, there)
    run(SHOP, here)
    assert contents(there) == contents(here)


def test_a_file_that_changes_while_it_is_read_stops_the_run(
    lake: Lake, there: Target, tmp_path: Path
) -> None:
    source = SHOP.sources["raw_sales"]
    assert there.raw
    with connect(there, scratch=tmp_path / "scratch") as engine:
        files = engine.find(source, there.raw)
        obstore.put(lake.store, "raw/sales.jsonl", MORE.encode())
        with pytest.raises(EngineError, match=r"sales\.jsonl changed while it was read.*run again"):
            engine.read_raw(source, there.raw, files)


@pytest.mark.thorough
def test_many_small_files_of_a_store_become_one(
    lake: Lake, here: Target, there: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "MOST_SMALL_FILES", 2)
    for number in range(4):
        run(SHOP, there)
        run(SHOP, here)
        add_more(lake, here, f"sales-{number}.jsonl", MORE.replace("07", f"1{number}"))
    assert contents(there) == contents(here)
    assert len(DeltaTable(f"{there.warehouse}/staging/sales").file_uris()) == 2


@pytest.fixture
def web(here: Target) -> Iterator[Remote]:
    """The raw folder as a web server has it."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(here.raw))

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield Remote(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()


def test_files_of_the_web_are_read_by_name(web: Remote, here: Target, tmp_path: Path) -> None:
    source = SHOP.sources["raw_sales"]
    named = replace(source, files=("sales.jsonl",))
    assert here.raw
    with connect(here, scratch=tmp_path / "scratch") as engine:
        [read, expected] = (engine.read_raw(named, raw) for raw in (web, here.raw))
        assert engine.fetch(read.table).to_pylist() == engine.fetch(expected.table).to_pylist()
        assert read.by_file == expected.by_file == {"sales.jsonl": 6}
        with pytest.raises(ConfigError, match=r"cannot be listed.*name each file instead"):
            engine.find(source, web)
        with pytest.raises(SourceError, match=r"has no file other\.jsonl"):
            engine.find(replace(source, files=("other.jsonl",)), web)


def test_addresses_that_nobody_reaches_are_refused() -> None:
    for place in ("hdfs://host/w", "ftp://host/w", "https://host/w"):
        with pytest.raises(ConfigError, match="DuckDB reaches local folders and s3://"):
            Target(name="t", raw=Path("raw"), warehouse=Remote(place))
    with pytest.raises(ConfigError, match="must not contain '%'"):
        run(SHOP, Target(name="t", raw=Path("raw"), warehouse=Remote("s3://abc/a%20b")))
