import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from pipelines.shop import write_raw
from servers import wait_until

from streampro import cli
from streampro.config import Target
from streampro.execution.runner import run
from streampro.viewing import PIPELINE
from streampro.warehouse.folders import writing
from streampro.warehouse.ledger import runs

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
AT_ONCE, IN_A_QUERY = 0, 0.7
"""Seconds after a run began to write."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    return tmp_path


@pytest.fixture
def raw(here):
    return Path(shutil.copytree(SAMPLE, here / "raw"))


@pytest.fixture
def streampro(here, monkeypatch, capfdbinary):
    def call(*args):
        monkeypatch.setattr(sys, "argv", ["streampro", *map(str, args)])
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
        out, err = capfdbinary.readouterr()
        return exit_info.value.code, out, err.decode()

    return call


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    """A warehouse after a run of the sample."""
    warehouse = tmp_path_factory.mktemp("one") / "w"
    run(PIPELINE, Target(name="local", raw=SAMPLE, warehouse=warehouse))
    return warehouse


@pytest.fixture
def published(here, one_run):
    """A run of the sample was published here."""
    return shutil.copytree(one_run, "w")


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """A warehouse after a run without the last file of the sample, and one with it."""
    place = tmp_path_factory.mktemp("two")
    raw = shutil.copytree(SAMPLE, place / "raw")
    target = Target(name="local", raw=raw, warehouse=place / "w")
    last = raw / "events" / "events-2026-01-30.jsonl"
    late = last.rename(raw / "late")
    run(PIPELINE, target)
    late.rename(last)
    run(PIPELINE, target)
    return target.warehouse


def fails(result, code, *words):
    got, out, err = result
    assert (got, out) == (code, b"")
    assert err.startswith("error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in err


def has_no_run(warehouse: Path) -> bool:
    return not (warehouse / "_streampro" / "runs").exists()


class TestRun:
    @pytest.mark.slow
    def test_prints_tables_books_and_answers_on_stdout(self, streampro):
        code, out, err = streampro("run", "--raw", SAMPLE, "--warehouse", "w")
        assert (code, err) == (0, "")
        for word in ("mart.fact_user_session", "raw_events", "Q1", "Q2", "Q3", "Android 5.2.0"):
            assert word in out.decode()

    @pytest.mark.slow
    def test_files_that_no_source_reads_are_a_line_on_stderr(self, streampro, raw):
        (raw / "events-2.ndjson").touch()
        told = "note: no source reads 1 file below raw: events-2.ndjson\n"
        for command in ("run", "plan"):
            code, _, err = streampro(command, "--raw", "raw", "--warehouse", "w")
            assert (code, err) == (0, told)

    @pytest.mark.slow
    def test_json_holds_the_run_and_the_answers(self, streampro):
        code, out, _ = streampro("run", "--raw", SAMPLE, "--warehouse", "w", "--json")
        told = json.loads(out)
        truth = json.loads((SAMPLE / "truth.json").read_text())
        [events] = [b for b in told["run"]["books"] if b["source"] == "raw_events"]
        assert code == 0
        assert events["rejected"] == sum(truth["events"]["rejected"].values())
        assert set(told["answers"]) == {"q1_engagement", "q2_retention", "q3_dropoff"}

    @pytest.mark.slow
    @pytest.mark.usefixtures("published")
    def test_builds_what_is_selected_and_leaves_the_rest(self, streampro):
        selected = ("--select", "fact_user_session", "--full-refresh")
        code, out, _ = streampro("run", *selected, "--raw", SAMPLE, "--warehouse", "w", "--json")
        built = {t["table"]: t for t in json.loads(out)["run"]["tables"]}
        assert code == 0
        assert built["mart.fact_user_session"]["version"] == 1
        assert built["staging.events"] == {
            "table": "staging.events",
            "version": 0,
            "rows": built["staging.events"]["rows"],
            "seconds": None,
        }

    @pytest.mark.slow
    def test_part_without_what_it_is_built_from_is_refused(self, streampro):
        args = ("--raw", SAMPLE, "--warehouse", "w", "--select", "fact_user_session")
        fails(streampro("run", *args), 2, "intermediate.user_sessions", "+fact_user_session")

    @pytest.mark.slow
    @pytest.mark.usefixtures("published")
    def test_nothing_new_is_said_in_one_line(self, streampro):
        code, out, err = streampro("run", "--raw", SAMPLE, "--warehouse", "w")
        assert (code, err, out.count(b"\n")) == (0, "", 1)
        assert out.startswith(b"Run 1: nothing that the tables are built from changed")

    @pytest.mark.slow
    def test_quiet_prints_nothing_unless_it_fails(self, streampro, raw):
        args = ("run", "--raw", raw, "--warehouse", "w", "--quiet")
        assert streampro(*args) == (0, b"", "")
        (raw / "videos.csv").unlink()
        fails(streampro(*args), 1, "videos.csv")
        code, _, err = streampro(*args, "--json")
        assert code == 2
        assert "--quiet does not go with --json" in err

    @pytest.mark.slow
    def test_rows_that_break_a_rule_are_a_table(self, streampro, here):
        (here / "strict.py").write_text(
            "import ibis.expr.types as ir\n"
            "from streampro import Contract, Pipeline, column, model\n"
            "from streampro.viewing import raw, staging\n"
            "class Titles(Contract):\n"
            "    title: str = column('Title.', isin=['x'], nullable=True)\n"
            "@model(contract=Titles)\n"
            "def titles(videos: ir.Table) -> ir.Table:\n"
            "    return videos.filter(videos.video_id == 'vid00000').select('title')\n"
            "import sys\n"
            "PIPELINE = Pipeline('strict', [raw, staging, sys.modules[__name__]], unread=['*'])\n"
        )
        result = streampro(
            *("run", "--pipeline", "strict:PIPELINE", "--raw", SAMPLE, "--warehouse", "w")
        )
        fails(result, 1, "strict.titles broke 1 rule", "First rows:")
        assert result[2].splitlines()[-5:] == ["", "title", "─" * 9, "Episode 0", ""]


class TestReport:
    @pytest.mark.slow
    @pytest.mark.usefixtures("published")
    def test_is_one_file_whose_name_is_told_on_stderr(self, streampro, here):
        told = (0, b"", "Wrote the report of run 1 to page.html.\n")
        assert streampro("report", "--warehouse", "w", "--out", "page.html") == told
        assert (here / "page.html").read_text().startswith("<!DOCTYPE html>")

    def test_needs_a_run(self, streampro, here):
        fails(streampro("report", "--warehouse", "w"), 2, "no published run", "streampro run")
        assert not (here / "report.html").exists()


@pytest.mark.slow
class TestBadInput:
    def run(self, streampro, raw):
        return streampro("run", "--raw", raw, "--warehouse", "w")

    @pytest.mark.slow
    def test_missing_raw_folder(self, streampro):
        fails(self.run(streampro, "nowhere"), 1, "nowhere", "does not exist")

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["users.csv", "videos.csv"])
    def test_missing_file(self, streampro, raw, name):
        (raw / name).unlink()
        fails(self.run(streampro, raw), 1, name)
        assert has_no_run(Path("w"))

    def test_missing_csv_column(self, streampro, raw):
        file = raw / "videos.csv"
        file.write_text(file.read_text().replace("genre", "gnre", 1))
        fails(self.run(streampro, raw), 1, "videos.csv", "'genre'", "Did you mean 'gnre'?")
        assert has_no_run(Path("w"))

    def test_empty_csv(self, streampro, raw):
        (raw / "users.csv").write_bytes(b"")
        fails(self.run(streampro, raw), 1, "users.csv", "'user_id'", "empty")

    def test_folder_without_events(self, streampro, raw):
        shutil.rmtree(raw / "events")
        fails(self.run(streampro, raw), 1, "events*.jsonl", "raw_events")

    def test_event_files_without_a_line(self, streampro, raw):
        shutil.rmtree(raw / "events")
        (raw / "events.jsonl").write_bytes(b"\n \r\n")
        fails(self.run(streampro, raw), 1, "raw_events", "hold no line", "events.jsonl")
        assert has_no_run(Path("w"))

    def test_csv_quote_that_is_never_closed(self, streampro, raw):
        (raw / "users.csv").write_text((raw / "users.csv").read_text() + 'u9,"2026-01-01,free\n')
        fails(self.run(streampro, raw), 1, "users.csv", "RFC 4180")
        assert has_no_run(Path("w"))

    def test_file_that_is_no_gzip(self, streampro, raw):
        (raw / "events.jsonl.gz").write_bytes(b"{}\n")
        fails(self.run(streampro, raw), 1, "events.jsonl.gz", "cannot be read")
        assert has_no_run(Path("w"))

    def test_gzip_that_ends_early(self, streampro, raw):
        packed = gzip.compress(next((raw / "events").iterdir()).read_bytes())
        (raw / "events.jsonl.gz").write_bytes(packed[:-100])
        fails(self.run(streampro, raw), 1, "events.jsonl.gz", "cannot be read")

    def test_line_over_16_mib(self, streampro, raw):
        (raw / "events.jsonl").write_text('\n{"user_id":"' + "x" * 20_000_000 + '"}\n')
        fails(self.run(streampro, raw), 1, "events.jsonl", "line 2", "16 MiB")
        assert has_no_run(Path("w"))

    @pytest.mark.slow
    def test_invalid_utf8_and_a_truncated_last_line_are_booked(self, streampro, raw):
        line = b'{"user_id":"a\xff","session_id":"s","event_name":"x","timestamp":"%s"}\n{"user'
        (raw / "events.jsonl").write_bytes(line % b"2026-01-01T00:00:00Z")
        code, out, _ = streampro("run", "--raw", raw, "--warehouse", "w", "--json")
        [books] = [b for b in json.loads(out)["run"]["books"] if b["source"] == "raw_events"]
        truth = json.loads((SAMPLE / "truth.json").read_text())["events"]
        assert code == 0
        assert books["warnings"] == {"invalid_utf8": 1}
        assert books["accepted"] == truth["accepted"] + 1
        assert books["reasons"]["not_a_json_object"] == truth["rejected"]["not_a_json_object"] + 1

    @pytest.mark.slow
    @pytest.mark.usefixtures("published")
    def test_failure_leaves_the_published_answers(self, streampro, raw):
        ask = ("sql", "select * from answers.q1_engagement", "--warehouse", "w", "--format", "csv")
        before = streampro(*ask)
        (raw / "videos.csv").unlink()
        fails(self.run(streampro, raw), 1, "videos.csv")
        assert streampro(*ask) == before

    @pytest.mark.slow
    def test_file_names_that_look_like_patterns_are_names(self, streampro, raw):
        line = '{"user_id":"%s","session_id":"s","event_name":"x","timestamp":"2026-01-01T00:00Z"}'
        shutil.rmtree(raw / "events")
        (raw / "events[1].jsonl").write_text(line % "in brackets")
        (raw / "events1.jsonl").write_text(line % "plain")
        assert self.run(streampro, raw)[0] == 0
        query = "select user_id from staging.events order by user_id"
        _, out, _ = streampro("sql", query, "--warehouse", "w", "--format", "json")
        assert json.loads(out) == [{"user_id": "in brackets"}, {"user_id": "plain"}]


class TestBadCall:
    def test_unknown_target(self, streampro):
        fails(streampro("run", "--target", "nope"), 2, "'nope'", "Known targets: local")

    def test_unknown_key(self, streampro, here):
        (here / "configs" / "mine.toml").write_text("warehose = 'w'\n")
        fails(streampro("check", "--target", "mine"), 2, "'warehose'", "Did you mean 'warehouse'?")

    def test_target_of_the_environment(self, streampro, monkeypatch):
        monkeypatch.setenv("STREAMPRO_TARGET", "nope")
        fails(streampro("check"), 2, "'nope'")

    def test_no_raw_folder_given(self, streampro):
        fails(streampro("run"), 2, "--raw")

    def test_warehouse_that_holds_something_else(self, streampro, raw):
        fails(streampro("run", "--raw", SAMPLE, "--warehouse", raw), 2, "no StreamPro warehouse")
        assert (raw / "users.csv").is_file()

    def test_warehouse_that_cannot_be_written(self, streampro, here):
        (here / "file").write_text("")
        result = streampro("run", "--raw", SAMPLE, "--warehouse", here / "file" / "w")
        fails(result, 2, "file")

    def test_unknown_pipeline(self, streampro):
        fails(streampro("check", "--pipeline", "nowhere:NAME"), 2, "'nowhere:NAME'")

    def test_unknown_option_is_a_usage_error(self, streampro):
        code, _, err = streampro("run", "--nope")
        assert code == 2
        assert "No such option" in err


@pytest.mark.slow
class TestExplain:
    @pytest.mark.slow
    @pytest.mark.usefixtures("published")
    def test_follows_a_number_to_file_and_line(self, streampro):
        places = ("--raw", SAMPLE, "--warehouse", "w")
        asked = ("explain", "q2_retention.retention_rate", "--where", "first_genre = 'Drama'")
        code, out, err = streampro(*asked, *places)
        assert (code, err) == (0, "")
        for word in (
            *("retained_users / users: the question as asked.", "NullIf(r5.users"),
            *("fact_user_session.retained_within_3d", "raw_events.timestamp"),
            *("staging.events", "raw_events", "videos.csv:", '"ip":"***"'),
        ):
            assert word in out.decode()
        _, out, _ = streampro(*asked, *places, "--json", "--limit", 1)
        told = json.loads(out)
        [line] = [line for line in told["lines"] if line["source"] == "raw_events"]
        text = (SAMPLE / line["file"]).read_text().splitlines()[line["number"] - 1]
        assert {**json.loads(text), "ip": "***"} == json.loads(line["text"])

    @pytest.mark.slow
    @pytest.mark.usefixtures("published")
    def test_says_that_no_row_meets_the_condition(self, streampro):
        asked = ("explain", "q2_retention", "--where", "first_genre = 'x'", "--warehouse", "w")
        fails(streampro(*asked), 1, "no row of answers.q2_retention, run 1, meets --where")

    @pytest.mark.usefixtures("published")
    def test_refuses_a_wrong_condition_in_one_line(self, streampro):
        asked = streampro("explain", "q2_retention", "--where", "genre = 1", "--warehouse", "w")
        fails(asked, 2, "--where 'genre = 1': Binder Error: ")
        assert asked[2].count("\n") == 1


@pytest.mark.usefixtures("published")
class TestSql:
    def ask(self, streampro, query, *args):
        return streampro("sql", query, "--warehouse", "w", *args)

    @pytest.mark.slow
    def test_formats_tell_the_same(self, streampro, here):
        query = "select users, reached_users from answers.q1_engagement"
        _, as_json, _ = self.ask(streampro, query, "--format", "json")
        _, as_csv, _ = self.ask(streampro, query, "--format", "csv")
        _, as_table, _ = self.ask(streampro, query)
        _, as_parquet, _ = self.ask(streampro, query, "--format", "parquet")
        [row] = json.loads(as_json)
        assert as_csv.decode().splitlines()[1] == f"{row['users']},{row['reached_users']}"
        assert str(row["users"]) in as_table.decode()
        assert as_parquet.startswith(b"PAR1")

    def test_every_table_has_its_name(self, streampro):
        for table in ("staging.events_rejected", "intermediate.user_sessions", "staging.videos"):
            code, _, _ = self.ask(streampro, f"select count(*) from {table}")
            assert code == 0

    def test_show_tables_and_names_without_a_layer(self, streampro):
        _, out, _ = self.ask(streampro, "show tables", "--format", "csv")
        assert {"fact_user_session", "q1_engagement"} <= {*out.decode().replace('"', "").split()}
        assert self.ask(streampro, "from q1_engagement")[0] == 0

    @pytest.mark.slow
    def test_tables_tells_layer_rows_version_and_run(self, streampro):
        streampro("run", "--raw", SAMPLE, "--warehouse", "w", "--select", "users", "--full-refresh")
        code, out, err = streampro("tables", "--warehouse", "w", "--json")
        told = {row["name"]: row for row in json.loads(out)}
        assert (code, err, len(told)) == (0, "", 11)
        users = {"layer": "staging", "name": "users", "rows": 631, "version": 1, "run": 2}
        assert told["users"] == users
        assert (told["videos"]["version"], told["videos"]["run"]) == (0, 1)
        _, out, _ = streampro("tables", "--warehouse", "w")
        assert out.decode().split()[:5] == ["layer", "name", "rows", "version", "run"]

    def test_long_results_are_cut_and_say_so(self, streampro):
        code, out, err = self.ask(streampro, "select * from range(1000)")
        assert code == 0
        assert "200 of 1,000 rows" in err
        assert len(out.decode().splitlines()) < 220

    @pytest.mark.parametrize("query", ["selec", "select nope", "select * from mart.nope"])
    def test_wrong_query(self, streampro, query):
        fails(self.ask(streampro, query), 2, "the query is wrong")

    def test_history_lists_the_run(self, streampro):
        _, out, _ = streampro("history", "--warehouse", "w", "--json")
        [run] = json.loads(out)
        assert (run["run_id"], run["engine"], run["pipeline"]) == (1, "duckdb", "viewing")
        assert {"source", "path", "size", "modified_ns", "etag", "changed_ns", "version"} == run[
            "inputs"
        ][0].keys()


@pytest.mark.slow
@pytest.mark.usefixtures("published")
def test_an_earlier_run_can_be_asked(streampro, raw):
    ask = ("sql", "select users from answers.q1_engagement", "--warehouse", "w", "--format", "csv")
    _, first, _ = streampro(*ask)
    for path in (raw / "events").glob("events-2026-01-0*.jsonl"):
        path.unlink()
    again = ("--raw", raw, "--warehouse", "w")
    for command in ("run", "plan"):
        got, out, err = streampro(command, *again)
        assert (got, out) == (1, b"")
        assert "are gone, more than 20%: events/events-2026-01-01.jsonl, " in err
    _, planned, _ = streampro("plan", *again, "--accept-lost-files")
    assert "events/events-2026-01-01.jsonl vanished" in planned.decode()
    streampro("run", *again, "--accept-lost-files")
    _, second, _ = streampro(*ask)
    assert first != second
    assert streampro(*ask, "--run", "1") == (0, first, "")
    fails(streampro(*ask, "--run", "3"), 2, "no run 3")


@pytest.mark.slow
class TestEarlierRuns:
    @pytest.fixture(autouse=True)
    def _two_runs(self, raw, two_runs):
        shutil.copytree(two_runs, "w")

    def call(self, streampro, *args):
        return streampro(*args, "--warehouse", "w")

    def test_history_of_a_run_tells_why_what_and_the_answers_then(self, streampro):
        code, out, err = self.call(streampro, "history", "2")
        assert (code, err) == (0, "")
        told = out.decode()
        for words in ("incremental", "1 new file", "user_sessions changed", "reached_users"):
            assert words in told
        for title in ("Published, built from 32 files", "Answers that move", "Books", "Q3"):
            assert title in told

    @pytest.mark.slow
    def test_json_of_a_run_holds_the_answers_then(self, streampro):
        ask = ("sql", "from answers.q1_engagement", "--run", "1", "--format", "json")
        _, then, _ = self.call(streampro, *ask)
        code, out, _ = self.call(streampro, "history", "1", "--json")
        told = json.loads(out)
        assert (code, told["run"]["run_id"]) == (0, 1)
        assert told["answers"]["q1_engagement"] == json.loads(then)

    def test_history_lists_the_newest_and_how_many_are_older(self, streampro):
        code, out, err = self.call(streampro, "history", "--limit", "1")
        assert (code, err) == (0, "1 older run: streampro history --limit N.\n")
        assert ("incremental" in out.decode(), "full" in out.decode()) == (True, False)
        _, out, err = self.call(streampro, "history", "--limit", "1", "--json")
        assert ([each["run_id"] for each in json.loads(out)], err) == ([2], "")
        assert self.call(streampro, "history")[2] == ""

    def test_history_of_an_unknown_run(self, streampro):
        fails(self.call(streampro, "history", "3"), 2, "no run 3; the runs are 1 to 2")

    @pytest.mark.slow
    def test_rollback_shows_what_moves_and_readers_see_the_old_answers(self, streampro):
        ask = ("sql", "from answers.q1_engagement", "--format", "csv")
        _, first, _ = self.call(streampro, *ask, "--run", "1")
        code, out, err = self.call(streampro, "rollback", "1")
        assert (code, err) == (0, "")
        assert "Answers that move" in out.decode()
        assert "Run 3: the tables are those of run 1." in out.decode()
        assert self.call(streampro, *ask) == (0, first, "")
        assert "rollback to 1" in self.call(streampro, "history")[1].decode()
        fails(self.call(streampro, "rollback", "1"), 2, "already at run 1")

    @pytest.mark.slow
    def test_clean_lists_first_and_removes_with_yes(self, streampro):
        _, listed, err = self.call(streampro, "clean", "--keep", "1")
        assert "--yes" in err
        assert b"mart.fact_user_session" in listed
        code, removed, _ = self.call(streampro, "clean", "--keep", "1", "--yes")
        assert (code, removed) == (0, listed)
        assert self.call(streampro, "clean", "--keep", "1") == (0, b"", "Nothing to remove.\n")
        fails(self.call(streampro, "sql", "select 1", "--run", "1"), 3, "run 1 was cleaned")
        _, out, err = self.call(streampro, "history", "1")
        assert b"raw_events" in out
        assert "answers cannot be read" in err


@pytest.mark.parametrize("name", ["w[1]", "w%20x"])
def test_warehouse_path_that_delta_readers_misread_is_refused(streampro, name):
    fails(streampro("run", "--raw", SAMPLE, "--warehouse", name), 2, "must not contain")


@pytest.mark.slow
def test_check_and_run_refuse_to_store_a_secret(streampro, here):
    (here / "leaky.py").write_text(
        "from dataclasses import replace\n"
        "from streampro import Pipeline\n"
        "from streampro.viewing import answers, intermediate, mart, raw, staging\n"
        "PIPELINE = Pipeline('leaky', [raw, staging, intermediate, mart, answers])\n"
        "source = PIPELINE.sources['raw_events']\n"
        "PIPELINE.sources['raw_events'] = replace(source, secret=('ip', 'device'))\n"
    )
    path = "raw_events.device -> staging.events.device (computed)"
    fails(streampro("check", "--pipeline", "leaky:PIPELINE"), 2, path)
    call = ("run", "--pipeline", "leaky:PIPELINE", "--raw", SAMPLE, "--warehouse", "w")
    fails(streampro(*call), 2, f"{path} -> intermediate.user_sessions.device (copied)")
    assert not (here / "w").exists()


@pytest.mark.slow
def test_graph_prints_or_writes_the_lineage(streampro, here):
    name = "mart.fact_user_session.retained_within_3d"
    code, out, err = streampro("graph", "--column", name)
    assert (code, err) == (0, "")
    assert "computed from raw_events.timestamp" in out.decode()
    code, out, err = streampro("graph", "--format", "html", "--out", "lineage.html")
    assert (code, out, err) == (0, b"", "Wrote lineage.html.\n")
    assert "<svg" in (here / "lineage.html").read_text()
    code, out, _ = streampro("graph", "--format", "mermaid")
    assert out.startswith(b"flowchart LR\n")
    fails(streampro("graph", "--column", "events.valu"), 2, "Did you mean 'value'?")
    fails(streampro("graph", "--out", "no/folder"), 2, "no/folder cannot be written")


def test_compiled_sql_is_that_of_the_target_or_of_the_engine_asked(streampro):
    code, out, err = streampro("sql", "--compiled", "mart.fact_user_session")
    assert (code, err) == (0, "")
    assert b'FROM "intermediate"."user_sessions"' in out
    _, out, _ = streampro("sql", "--compiled", "fact_user_session", "--engine", "spark")
    assert b"FROM `intermediate`.`user_sessions`" in out


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((), "give either a QUERY or --compiled MODEL."),
        (("select 1", "--compiled", "events"), "give either a QUERY or --compiled MODEL."),
        (("--compiled", "events", "--run", 1), "--run does not go with --compiled."),
        (("--compiled", "events", "--format", "csv"), "--format does not go with --compiled."),
        (("--compiled", "events", "--allow-files"), "--allow-files does not go with --compiled."),
        (("select 1", "--engine", "spark"), "--engine does not go with QUERY."),
    ],
)
def test_sql_is_asked_for_one_thing(streampro, args, error):
    code, out, err = streampro("sql", *args)
    assert (code, out) == (2, b"")
    assert error in err


@pytest.mark.parametrize("query", ["", " ; ", "select cast('a' as int)"])
@pytest.mark.usefixtures("published")
def test_query_that_cannot_be_answered_is_a_wrong_call(streampro, query):
    fails(streampro("sql", query, "--warehouse", "w"), 2, "the query is")


@pytest.mark.slow
@pytest.mark.usefixtures("published")
def test_sql_only_reads_and_reads_files_where_it_is_allowed(streampro, here):
    (here / "cities.csv").write_text("city\nOslo\n")
    ask = ("sql", "--warehouse", "w", "--format", "csv")
    fails(streampro(*ask, "explain analyze copy (select 1) to 'a.csv'"), 2, "Allowed is", "SELECT")
    assert not (here / "a.csv").exists()
    fails(streampro(*ask, "from 'cities.csv'"), 2, "--allow-files")
    assert streampro(*ask, "--allow-files", "from 'cities.csv'") == (0, b'"city"\n"Oslo"\n', "")


@pytest.mark.slow
def test_warehouse_of_another_pipeline_is_refused(streampro, here, published):
    (here / "mine.py").write_text(
        "from streampro import Pipeline\n"
        "from streampro.viewing import answers, intermediate, mart, raw, staging\n"
        "PIPELINE = Pipeline('mine', [raw, staging, intermediate, mart, answers])\n"
    )
    args = ("run", "--raw", SAMPLE, "--warehouse", "w")
    result = streampro(*args, "--pipeline", "mine:PIPELINE")
    fails(result, 2, "'viewing'", "'mine'", "--warehouse")


@pytest.mark.slow
def test_part_run_keeps_what_it_did_not_build_in_the_ledger(streampro, published):
    args = ("--select", "users", "--full-refresh", "--raw", SAMPLE, "--warehouse", "w", "--json")
    _, out, _ = streampro("run", *args)
    before, after = runs(Path("w"))[0].to_json(), json.loads(out)["run"]
    assert after["run_id"] == 2
    assert after["code"] == before["code"]
    assert sorted(f["path"] for f in after["inputs"]) == sorted(f["path"] for f in before["inputs"])


@pytest.mark.slow
def test_part_run_shows_no_answers_that_it_did_not_build(streampro, published):
    args = ("--raw", SAMPLE, "--warehouse", "w", "--json")
    _, out, _ = streampro("run", "--select", "q1_engagement", *args)
    assert set(json.loads(out)["answers"]) == {"q1_engagement"}


@pytest.mark.slow
def test_show_prints_rows_that_a_model_would_have(streampro, here):
    code, out, err = streampro("show", "q1_engagement", "--raw", SAMPLE, "--format", "csv")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        b'"users","reached_users","reached_rate"',
        b"622,387,0.6221864951768489",
    ]
    assert [path.name for path in here.iterdir()] == ["configs"]


@pytest.mark.slow
def test_test_tells_broken_rules_and_their_rows(streampro, here, published):
    answers = (SAMPLE.parents[1] / "streampro" / "viewing" / "answers.py").read_text()
    (here / "judged").mkdir()
    (here / "judged" / "answers.py").write_text(
        answers.replace('Users with a first session."', 'x", le=1')
    )
    (here / "judged" / "__init__.py").write_text(
        "from judged import answers\n"
        "from streampro import Pipeline\n"
        "from streampro.viewing import intermediate, mart, raw, staging\n"
        "PIPELINE = Pipeline('viewing', [raw, staging, intermediate, mart, answers])\n"
    )
    asked = ("test", "--select", "q1_engagement", "--warehouse", "w")
    assert streampro(*asked) == (0, b"1 table, all in order.\n", "")
    code, out, err = streampro(*asked, "--pipeline", "judged:PIPELINE")
    assert (code, err) == (1, "error: 1 rule broken, in published tables.\n")
    assert b"answers.q1_engagement: users less_than_or_equal_to(1): 1 row (fail)" in out
    assert b"622" in out


def test_nothing_published_is_said(streampro):
    fails(streampro("sql", "select 1", "--warehouse", "w"), 2, "no published run")


def test_check_needs_neither_engine_nor_data(streampro):
    code, out, _ = streampro("check")
    assert (code, out.decode()) == (0, "viewing: 8 models, 11 tables, all in order.\n")


@pytest.mark.slow
def test_demo_answers_in_an_empty_folder_and_refuses_another(streampro, here):
    code, out, _ = streampro("demo", "d")
    assert code == 0
    assert "Q3" in out.decode()
    fails(streampro("demo", "d"), 2, "not empty")


def test_generate_refuses_a_folder_with_files(streampro, raw):
    fails(streampro("generate", raw, "--events", "10"), 2, str(raw))


@pytest.mark.slow
def test_the_sample_is_what_generate_writes(streampro, here):
    streampro("generate", "again", "--events", "20000")
    again = {p.relative_to("again"): p for p in Path("again").rglob("*") if p.is_file()}
    committed = {p.relative_to(SAMPLE): p for p in SAMPLE.rglob("*") if p.is_file()}
    assert again.keys() == committed.keys()
    for name, path in again.items():
        assert path.read_bytes() == committed[name].read_bytes(), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "code", "said", "later"),
    [
        (signal.SIGINT, 130, "Interrupted.", IN_A_QUERY),
        (signal.SIGTERM, 143, "Terminated.", AT_ONCE),
        (signal.SIGHUP, 129, "Hung up.", AT_ONCE),
        *(
            pytest.param(*each, marks=pytest.mark.thorough)
            for each in [
                (signal.SIGINT, 130, "Interrupted.", AT_ONCE),
                (signal.SIGTERM, 143, "Terminated.", IN_A_QUERY),
                (signal.SIGHUP, 129, "Hung up.", IN_A_QUERY),
            ]
        ),
    ],
)
def test_a_stopped_run_publishes_nothing_and_leaves_no_lock(published, stop, code, said, later):
    command = [sys.executable, "-m", "streampro", "run", "--raw", SAMPLE, "--warehouse", "w"]
    command.append("--full-refresh")
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(stop, signal.SIG_DFL),  # tests may run below nohup
    )
    staging = Path("w/_streampro/staging")
    while process.poll() is None and not any(staging.glob("*")):
        time.sleep(0.005)
    time.sleep(later)
    os.kill(process.pid, stop)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err.decode() == f"{said}\n"
    assert [run.run_id for run in runs(Path("w"))] == [1]
    assert [*staging.glob("*")] == []
    with writing(Path("w")):
        """Another run can begin."""


ENDLESS = """
    select count(*) from staging.events a, staging.events b, staging.events c, staging.events d
    where a.value + b.value > c.value + d.value
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "code", "said"),
    [
        (signal.SIGTERM, 143, "Terminated.\n"),
        pytest.param(signal.SIGINT, 130, "Interrupted.\n", marks=pytest.mark.thorough),
    ],
)
def test_a_query_that_would_take_years_hears_a_signal(published, stop, code, said):
    command = [sys.executable, "-m", "streampro", "sql", ENDLESS, "--warehouse", "w"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    scratch = Path("w/_streampro/scratch")
    wait_until(lambda: any(scratch.glob("*")), process)
    time.sleep(2)
    os.kill(process.pid, stop)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.decode()) == (code, b"", said)
    assert not scratch.exists()


def hears(process, number):
    """Tell whether a process has set a handler of a signal."""
    told = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(re.search(r"SigCgt:\s*(\w+)", told)[1], 16)
    return bool(caught >> (number - 1) & 1)


def test_an_import_that_a_signal_ends_keeps_no_command_from_ending():
    """Python may keep its lock, for which a thread that imports then waits for ever."""
    code = "import _imp, streampro.cli as cli\n_imp.acquire_lock()\nwith cli._interrupts(): pass"
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "after", [0.1, *(pytest.param(each, marks=pytest.mark.thorough) for each in (0.0, 0.3))]
)
def test_a_signal_during_imports_is_told_in_one_line(here, after):
    command = [sys.executable, "-m", "streampro", "run", "--raw", SAMPLE, "--warehouse", "w"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_until(lambda: hears(process, signal.SIGTERM), process)
    time.sleep(after)
    os.kill(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (143, b"", b"Terminated.\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "outputs"),
    [
        ({"PYTHONIOENCODING": "ascii"}, ""),
        pytest.param({"PYTHONIOENCODING": "latin-1"}, "", marks=pytest.mark.thorough),
        pytest.param(
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            "",
            marks=pytest.mark.thorough,
        ),
        pytest.param({"TERM": "dumb", "COLUMNS": "1"}, "", marks=pytest.mark.thorough),
        pytest.param({}, ">&-", marks=pytest.mark.thorough),
        pytest.param({}, "2>&-", marks=pytest.mark.thorough),
        ({}, ">&- 2>&-"),
        ({}, "| head -1"),
        pytest.param({}, "2> >(true)", marks=pytest.mark.thorough),
        pytest.param({}, "> /dev/full", marks=pytest.mark.thorough),
    ],
    ids=str,
)
def test_what_cannot_be_printed_harms_no_run(published, environment, outputs):
    run = f"run --full-refresh --raw {SAMPLE} --warehouse w"
    command = f"{sys.executable} -m streampro {run} {outputs}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [run.run_id for run in runs(Path("w"))] == [1, 2]
    if environment.get("PYTHONIOENCODING") == "ascii":
        assert "Telenovela Cl?sica" in done.stdout.decode("ascii")


CHANGES = [
    ("run --raw {raw} --json", "Run 1 is published"),
    ("run --raw {raw} --full-refresh --json", "Run 2 is published"),
    ("rollback 1", "Run 3 is published"),
    ("rollback 2 --json", "Run 4 is published"),
    ("forget --key shop=a --dry-run", None),
    ("forget --key shop=a", "shop=a is forgotten"),
    ("clean --keep 1", None),
    ("clean --keep 1 --yes", "The files are removed"),
    ("repair --json", "w is repaired"),
    ("prove --right local --raw {raw}", "parity.json is written"),
    ("init new", "The project new is made"),
]


@pytest.mark.slow
def test_what_is_done_is_told_where_it_cannot_be_shown(here, commands):
    commands.start("fork")
    (here / "configs" / "local.toml").write_text("pipeline = 'pipelines.shop:SHOP'\n")
    raw = write_raw(here / "raw")
    for command, done in CHANGES:
        words = command.format(raw=raw).split()
        words += [] if words[0] in ("init", "prove") else ["--warehouse", "w"]
        with Path("/dev/full").open("w") as full:
            call = [commands.folder / "streampro", *words]
            ended = subprocess.run(
                call, stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        why = "OSError: [Errno 28] No space left on device"
        unread = "the output cannot be written: no space is left there."
        said = f"{done}, but cannot be shown: {why}" if done else unread
        assert ended.returncode == 3, command
        assert f"error: {said}" in ended.stderr, command


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("command", ["report --warehouse w", "graph --format html"])
def test_a_file_on_a_full_disk_is_tried_again(streampro, command):
    code, _, err = streampro(*command.split(), "--out", "/dev/full")
    assert (code, "/dev/full cannot be written: No space left" in err) == (3, True)
    assert Path("/dev/full").exists()


@pytest.mark.usefixtures("published")
class TestJson:
    def ask(self, streampro, query, form):
        code, out, _ = streampro("sql", query, "--warehouse", "w", "--format", form)
        assert code == 0
        return out.decode()

    def test_has_neither_nan_nor_infinity(self, streampro):
        query = "select 'nan'::double as n, ['inf'::double, 1.5] as l, {'x': '-inf'::float} as s"
        [row] = json.loads(self.ask(streampro, query, "json"), parse_constant=pytest.fail)
        assert row == {"n": None, "l": [None, 1.5], "s": {"x": None}}
        assert '"[null, 1.5]"' in self.ask(streampro, query, "csv")

    def test_a_map_whose_keys_are_lists_is_a_list_of_pairs(self, streampro):
        query = (
            "select map([[1]], [2]) as m, map(['a'], [3]) as n, {'a': map([{'x': 1}], [2])} as o"
        )
        [row] = json.loads(self.ask(streampro, query, "json"))
        assert row == {"m": [[[1], 2]], "n": {"a": 3}, "o": {"a": [[{"x": 1}, 2]]}}
        texts = '"[[[1], 2]]","{""a"": 3}","{""a"": [[{""x"": 1}, 2]]}"'
        assert self.ask(streampro, query, "csv").splitlines()[1] == texts
        assert "[[[1], 2]]" in self.ask(streampro, query, "table")

    def test_bytes_are_hexadecimal_digits(self, streampro):
        query = r"select '\xAA\x0Ab'::blob as b, ['a'::blob] as l, {'x': ''::blob} as s, "
        query += "null::blob as n"
        [row] = json.loads(self.ask(streampro, query, "json"))
        assert row == {"b": "aa0a62", "l": ["61"], "s": {"x": ""}, "n": None}
        texts = [r'"aa0a62"', r'"[""61""]"', r'"{""x"": """"}"', ""]
        assert self.ask(streampro, query, "csv").splitlines()[1] == ",".join(texts)
        shown = self.ask(streampro, query, "table").splitlines()
        assert shown[-2].split() == ["aa0a62", '["61"]', '{"x":', '""}']

    def test_intervals_are_lists_and_in_no_parquet(self, streampro):
        query = "select interval 1 month as i"
        assert json.loads(self.ask(streampro, query, "json")) == [{"i": [1, 0, 0]}]
        assert self.ask(streampro, query, "csv") == '"i"\n"[1, 0, 0]"\n'
        code, _, err = streampro("sql", query, "--warehouse", "w", "--format", "parquet")
        assert (code, "cast what parquet has no type for" in err) == (2, True)

    def test_columns_of_one_name_are_all_there(self, streampro):
        query = "select 1 as a, 2 as a, 3 as a_1, 4 as a"
        rows = json.loads(self.ask(streampro, query, "json"))
        assert rows == [{"a": 1, "a_2": 2, "a_1": 3, "a_3": 4}]
        assert self.ask(streampro, query, "table").split()[:4] == ["a", "a_2", "a_1", "a_3"]

    def test_keys_of_maps_are_texts(self, streampro):
        query = "select map {date '2026-01-01': 1} as days, map {7: 'x'} as numbers"
        rows = json.loads(self.ask(streampro, query, "json"))
        assert rows == [{"days": {"2026-01-01": 1}, "numbers": {"7": "x"}}]

    @pytest.mark.slow
    def test_is_ascii_where_stdout_is(self, here):
        query = "select title from staging.videos where title like '%旅%'"
        command = [sys.executable, "-m", "streampro", "sql", query, "--format", "json"]
        done = subprocess.run(
            [*command, "--warehouse", "w"],
            env=os.environ | {"PYTHONIOENCODING": "ascii"},
            capture_output=True,
            check=True,
        )
        assert "旅" in json.loads(done.stdout.decode("ascii"))[0]["title"]


@pytest.mark.slow
def test_what_is_assumed_outside_a_project_is_said(streampro, here, published):
    (here / "configs").rmdir()
    said = "There is no folder 'configs' here; taken are target 'local' with engine 'duckdb', "
    code, _, err = streampro("check")
    assert code == 0
    assert err.startswith(f"{said}pipeline 'streampro.viewing:PIPELINE', warehouse 'warehouse'. ")
    code, out, err = streampro("run", "--raw", SAMPLE, "--warehouse", "w", "--json")
    assert (code, err.count("\n")) == (0, 1)
    assert json.loads(out)["run"]["run_id"] == 1
    assert err.startswith(f"{said}pipeline 'streampro.viewing:PIPELINE'. `streampro init")


NEXT_NUMBER = "mart.fact_user_session.next_session_number"


@pytest.mark.parametrize(
    ("words", "typed", "completed"),
    [
        (["run", "--target"], "", ["local", "mine", "spark-local"]),
        (["run", "--select"], "+fact", ["+fact_user_session"]),
        (["run", "--select"], "users,q1", ["users,q1_engagement"]),
        (["prove", "--exclude"], "+layer:m", ["+layer:mart"]),
        (["test", "--select"], "st", ["state:changed"]),
        (["explain"], "q1_engagement.re", ["reached_users", "reached_rate"]),
        (["show"], "q1", ["q1_engagement"]),
        (["show"], "answers.q1", ["answers.q1_engagement"]),
        (["run", "--select"], "users,+answers.q1", ["users,+answers.q1_engagement"]),
        (["graph", "--column"], "answers.q1", ["answers.q1_engagement"]),
        (["explain"], "mart.fact_user_session.next_session_n", [NEXT_NUMBER]),
        (["export"], "answers.q1", []),
        (["run", "--pipeline", "nowhere:NAME", "--select"], "", []),
    ],
)
def test_a_shell_completes_what_the_project_has(here, words, typed, completed):
    (here / "configs" / "mine.toml").write_text("engine = 'duckdb'\n")
    shell = ShellComplete(cli.cli, {}, "streampro", "_STREAMPRO_COMPLETE")
    found = [each.value for each in shell.get_completions(words, typed)]
    assert [each.removeprefix("q1_engagement.") for each in found] == completed


def test_a_shell_completes_what_is_published(published):
    shell = ShellComplete(cli.cli, {}, "streampro", "_STREAMPRO_COMPLETE")
    for typed, completed in {
        "answers.q1": ["answers.q1_engagement"],
        "users": [],
        "staging.v": ["staging.videos", "staging.videos_rejected"],
    }.items():
        found = shell.get_completions(["export", "--warehouse", published], typed)
        assert [each.value for each in found] == completed


LATE = """
from types import ModuleType

import ibis.expr.types as ir
from streampro import Pipeline, model, rule, viewing
from streampro.viewing import answers, intermediate, mart, raw, staging


class Long(mart.FactUserSession):
    @rule("fail")
    def is_long(cls, sessions: ir.Table) -> ir.BooleanValue:
        return sessions.total_watch_time_s > 10**6


@model(contract=Long)
def long_sessions(fact_user_session: ir.Table) -> ir.Table:
    return fact_user_session


own = ModuleType("own")
own.long_sessions = long_sessions
PIPELINE = Pipeline("viewing", [raw, staging, intermediate, mart, answers, own])
"""


@pytest.mark.slow
def test_what_does_not_depend_on_a_broken_model_is_published(here, streampro):
    (here / "late.py").write_text(LATE)
    args = ("run", "--pipeline", "late:PIPELINE", "--raw", SAMPLE, "--warehouse", "w")
    code, out, err = streampro(*args)
    assert (code, out) == (1, b"")
    code, out, err = streampro(*args, "--keep-going")
    assert code == 1
    assert "late.long_sessions failed; run 1 has the rest." in err
    assert b"fact_user_session" in out
    assert streampro("tables", "--warehouse", "w")[0] == 0
    code, out, _ = streampro(*args, "--exclude", "long_sessions", "--quiet")
    assert (code, out) == (0, b"")
    code, out, _ = streampro(*args, "--select", "state:changed", "--exclude", "long_sessions")
    assert code == 0


PLAIN = """
import sys

import ibis.expr.types as ir
from streampro import Contract, Limits, Pipeline, Source, column, model, rule

raw_notes = Source(
    "raw_notes", ("notes.csv",), "csv", {"id": ("id",)}, limits=Limits(row_change=0.5)
)


class Notes(Contract):
    id: str = column("Id.", nullable=True)

    @rule("warn")
    def id_is_short(cls, notes: ir.Table) -> ir.BooleanValue:
        return notes.id.length() < 2


@model(contract=Notes)
def notes(raw_notes: ir.Table) -> ir.Table:
    return raw_notes.select("id")


PIPELINE = Pipeline("notes", [sys.modules[__name__]])
"""


@pytest.mark.slow
def test_warnings_of_a_pipeline_without_books_are_told(here, streampro):
    (here / "plain.py").write_text(PLAIN)
    (here / "raw").mkdir()
    (here / "raw" / "notes.csv").write_text("id\na\nlong\n")
    args = ("--pipeline", "plain:PIPELINE", "--raw", "raw", "--warehouse", "w")
    said = "warning: plain.notes: id_is_short: 1 row\n"
    for command in ("plan", "run"):
        code, out, _ = streampro(command, *args)
        assert (code, said.encode() in out) == (0, True)
    assert said.encode() in streampro("history", "1", "--warehouse", "w")[1]
    code, out, _ = streampro("test", *args[:2], *args[4:])
    assert (code, out.decode().splitlines()[-1]) == (0, "1 table, no rule but warnings broken.")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("forget", "--key", "user_id=a", "--key", "user_id=b"), "--key is given 2 times"),
        (("run", "--warehouse", "~nobody-here/w"), "homes of others are not known: ~nobody-here"),
    ],
)
def test_what_would_count_in_part_is_refused(here, streampro, args, said):
    code, out, err = streampro(*args)
    assert (code, out) == (2, b"")
    assert said in err


@pytest.mark.slow
def test_selectors_of_several_options_count_together(here, streampro, published):
    args = ("--select", "users", "--select", "videos", "--warehouse", "w")
    code, out, _ = streampro("test", *args)
    assert (code, out.decode().splitlines()[-1]) == (0, "2 tables, all in order.")


@pytest.mark.slow
class TestDiff:
    def test_of_one_run_there_is_nothing_to_compare(self, streampro, published):
        code, out, err = streampro("diff", "--warehouse", "w")
        assert (code, out) == (2, b"")
        assert "w has one run, which differs from no other." in err
        code, out, _ = streampro("diff", "1..1", "--warehouse", "w")
        assert (code, out.decode().splitlines()[1]) == (0, "11 tables, none differs.")

    def test_exit_code_says_whether_runs_differ(self, here, streampro, published):
        raw = Path(shutil.copytree(SAMPLE, "raw"))
        users = raw / "users.csv"
        users.write_text("".join(users.read_text().splitlines(keepends=True)[:-1]))
        assert streampro("run", "--raw", "raw", "--warehouse", "other", "--quiet")[0] == 0
        args = ("diff", "--warehouse", "w", "--with-warehouse", "other", "--select", "users")
        code, out, _ = streampro(*args, "--format", "json")
        assert code == 1
        removed = {table["table"]: table["removed"] for table in json.loads(out)["tables"]}
        assert removed == {"staging.users": 1, "staging.users_rejected": 0}
        code, out, _ = streampro(*args, "--format", "html")
        assert (code, out.decode().splitlines()[0]) == (1, "<!doctype html>")
        code, out, _ = streampro(*args[:-1], "videos", "--format", "markdown")
        assert (code, out.decode().splitlines()[-1]) == (0, "2 tables, none differs.")

    @pytest.mark.parametrize("runs", ["x", "..3", "1...2", "-1"])
    def test_runs_are_two_numbers(self, streampro, published, runs):
        assert streampro("diff", runs, "--warehouse", "w")[0] == 2
