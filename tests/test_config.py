"""A target is a file of the configs folder, and every mistake in it has a sentence."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given, strategies as st
from pydantic import ValidationError

from streampro import cli, errors
from streampro.config import DuckDBSettings, Target, load_target
from streampro.errors import ConfigError, StreamProError, did_you_mean
from streampro.location import Remote


def write(configs: Path, text: str, name: str = "local") -> Path:
    path = configs / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def message(configs: Path, name: str = "local", **overrides: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_target(name, configs, **overrides)
    return str(caught.value)


def test_local_needs_no_file(tmp_path: Path) -> None:
    for configs in (tmp_path, tmp_path / "missing"):
        target = load_target(configs=configs)
        assert (target.name, target.engine, target.raw) == ("local", "duckdb", None)
        assert (target.warehouse, target.pipeline) == (Path("warehouse"), None)
        assert target.duckdb == DuckDBSettings()


def test_file_overrides_defaults(tmp_path: Path) -> None:
    write(
        tmp_path,
        'raw = "in"\nwarehouse = "out"\npipeline = "my:P"\n'
        '[duckdb]\nmemory_limit = "1GB"\nthreads = 2\ntemp_directory = "/scratch"\n',
        "big",
    )
    target = load_target("big", tmp_path)
    assert target == Target(
        name="big",
        raw=Path("in"),
        warehouse=Path("out"),
        pipeline="my:P",
        duckdb={"memory_limit": "1GB", "threads": 2, "temp_directory": "/scratch"},
    )


def test_call_overrides_the_file_and_none_does_not(tmp_path: Path) -> None:
    write(tmp_path, 'raw = "in"\nwarehouse = "out"\n')
    target = load_target("local", tmp_path, raw=Path("else"), warehouse=None)
    assert (target.raw, target.warehouse) == (Path("else"), Path("out"))


def test_name_is_the_name_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, "", "nightly")
    assert load_target("nightly", tmp_path).name == "nightly"


def test_unknown_target_has_a_hint_and_the_list(tmp_path: Path) -> None:
    write(tmp_path, "", "cluster")
    write(tmp_path, "", "nightly")
    assert message(tmp_path, "clutser") == (
        f"no target 'clutser': there is no file {tmp_path / 'clutser.toml'}. "
        "Did you mean 'cluster'? Known targets: cluster, local, nightly, spark-local."
    )
    assert "Did you mean" not in message(tmp_path, "zzz")


def test_target_outside_the_folder_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    write(tmp_path, "", "other")
    assert message(tmp_path / "configs", "../other").startswith("no target '../other'")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('warehuse = "out"', "unknown key 'warehuse'. Did you mean 'warehouse'?"),
        ("zzz = 1", "unknown key 'zzz'."),
        ("[duckdb]\nthread = 2", "unknown key 'duckdb.thread'. Did you mean 'threads'?"),
        ('engine = "sqlite"', "engine: Input should be 'duckdb' or 'spark' (got 'sqlite')"),
        (
            "warehouse = 5",
            "warehouse: Input is not a valid path for <class 'pathlib.Path'> (got 5)",
        ),
        (
            "[duckdb]\nthreads = 0",
            "duckdb.threads: Input should be greater than or equal to 1 (got 0)",
        ),
        (
            "[duckdb]\nmemory_limit = 2",
            "duckdb.memory_limit: Input should be a valid string (got 2)",
        ),
        (
            '[duckdb]\nmemory_limit = "lots"',
            "duckdb.memory_limit: it is a number and a unit, such as 1GB, 500MB or 1.5GiB "
            "(got 'lots')",
        ),
        (
            '[duckdb]\nmemory_limit = "80%"',
            "duckdb.memory_limit: it is a number and a unit, such as 1GB, 500MB or 1.5GiB "
            "(got '80%')",
        ),
        (
            '[spark.settings]\n"sql.shuffle.partitions" = 2',
            "spark.settings: names begin with 'spark.'. Did you mean "
            "'spark.sql.shuffle.partitions'?",
        ),
        (
            "[spark.settings]\nspark.sql.shuffle.partitions = 2",
            'spark.settings: put the name in quotes: "spark.sql.shuffle.partitions" = ...',
        ),
        (
            '[spark]\nmaster = "local"\nsettings = {"spark.master" = "local[2]"}',
            "spark.settings: the key 'master' says what 'spark.master' does; remove one",
        ),
    ],
)
def test_wrong_setting_is_told(text: str, told: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    assert message(tmp_path) == f"target 'local' ({path}): {told}"


def test_every_wrong_setting_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, 'warehuse = "out"\nengine = "sqlite"\n')
    told = message(tmp_path)
    assert "warehuse" in told
    assert "sqlite" in told


def test_wrong_override_is_told(tmp_path: Path) -> None:
    assert "unknown key 'wharehouse'" in message(tmp_path, wharehouse="out")


@pytest.mark.parametrize("content", [b"raw = ", b"raw == 1", b'raw = "\xff"'])
def test_file_that_is_not_toml_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "local.toml").write_bytes(content)
    assert message(tmp_path).startswith(f"{tmp_path / 'local.toml'} cannot be read as TOML: ")


def test_target_does_not_change(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        load_target(configs=tmp_path).name = "other"


SPARK: Any = {"name": "cluster", "engine": "spark"}
DUCK = "engine: Input should be 'duckdb' or 'spark' (got 'duck'). Did you mean 'duckdb'?"
MADE: dict[str, tuple[Callable[[], object], str]] = {
    "unknown engine": (
        lambda: Target(name="a", engine="duck"),  # type: ignore[arg-type]
        f"Target(): {DUCK}",
    ),
    "no name": (lambda: Target(), "Target(): name is missing"),  # type: ignore[call-arg]
    "by position": (
        lambda: Target("a"),  # type: ignore[misc]
        "Target() is given settings by name: name='a'.",
    ),
    "unknown key": (
        lambda: Target(name="a", warehuse="w"),  # type: ignore[call-arg]
        "Target(): unknown key 'warehuse'. Did you mean 'warehouse'?",
    ),
    "unknown key of a section": (
        lambda: Target(name="a", duckdb={"thread": 2}),  # type: ignore[arg-type]
        "Target(): unknown key 'duckdb.thread'. Did you mean 'threads'?",
    ),
    "section by itself": (
        lambda: DuckDBSettings(thread=2),  # type: ignore[call-arg]
        "DuckDBSettings(): unknown key 'thread'. Did you mean 'threads'?",
    ),
    "no sign": (
        lambda: Target(name="a", pipeline=""),
        "Target(): pipeline: String should have at least 1 character (got '')",
    ),
    "copy with an unknown key": (
        lambda: Target(name="a").model_copy(update={"warehuse": "w"}),
        "Target(): unknown key 'warehuse'. Did you mean 'warehouse'?",
    ),
    "copy with a wrong value": (
        lambda: Target(name="a").model_copy(update={"engine": "duck"}),
        f"Target(): {DUCK}",
    ),
    "copy that reads itself": (
        lambda: Target(name="a", raw=Path("r")).model_copy(update={"warehouse": "r"}),
        "Target(): the raw folder r is in the warehouse r, so runs would read their own tables. "
        "Give each a folder of its own",
    ),
    "a store that reads itself": (
        lambda: Target(**SPARK, raw=Remote("s3a://b/w/raw"), warehouse=Remote("s3a://b/w/")),
        "Target(): the raw folder s3a://b/w/raw is in the warehouse s3a://b/w/, so runs would read "
        "their own tables. Give each a folder of its own",
    ),
    "number for a name": (
        lambda: load_target(3),  # type: ignore[arg-type]
        "load_target(): name is 3, but must be a text.",
    ),
    "text for a folder": (
        lambda: load_target("local", "configs"),  # type: ignore[arg-type]
        "load_target(): configs is 'configs', but must be a Path.",
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_target_made_in_code_is_refused_like_a_file(name: str) -> None:
    make, told = MADE[name]
    with pytest.raises(ConfigError) as caught:
        make()
    assert (str(caught.value), caught.value.exit_code) == (told, 2)


@pytest.mark.parametrize(
    ("raw", "warehouse"),
    [("r", "r/w"), ("rw", "r"), (Remote("s3a://b/rw"), Remote("s3a://b/r")), (None, "r")],
)
def test_raw_folders_beside_and_above_a_warehouse_are_taken(raw: Any, warehouse: Any) -> None:
    assert str(Target(**SPARK, raw=raw, warehouse=warehouse).warehouse) == warehouse


def test_copy_has_the_types_of_a_target() -> None:
    copied = Target(name="a", raw=Path("r")).model_copy(update={"warehouse": "w"})
    assert copied == Target(name="a", raw=Path("r"), warehouse=Path("w"))


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_targets_are_valid(path: Path) -> None:
    assert load_target(path.stem, path.parent).name == path.stem


@pytest.mark.parametrize(
    ("word", "hint"),
    [("evnts", "Did you mean 'events'? "), ("events", "Did you mean 'events'? "), ("zzz", "")],
)
def test_did_you_mean(word: str, hint: str) -> None:
    assert did_you_mean(word, ["users", "events"]) == hint


def test_environment_is_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "s3a://lake")
    text = 'engine = "spark"\nraw = "${BUCKET}/raw"\n[spark.settings]\n"spark.a" = "$$${BUCKET}"\n'
    write(tmp_path, text, "cluster")
    found = load_target("cluster", tmp_path)
    assert found.raw == Remote("s3a://lake/raw")
    assert found.spark.settings == {"spark.a": "$s3a://lake"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('raw = "${NOWHERE_SET}"', "uses ${NOWHERE_SET}, which is not set."),
        ('raw = "a$"', "A dollar sign is written $$."),
        ('[spark]\nmastr = "local"', "unknown key 'spark.mastr'. Did you mean 'master'?"),
        ('raw = "hdfs://host/raw"', "DuckDB reaches local folders and s3://"),
        ('warehouse = "hdfs:/warehouse"', "abfs://, abfss://, not hdfs:/warehouse"),
        ('warehouse = "https://host/w"', "not https://host/w"),
        ("keep_runs = 0", "greater than or equal to 1"),
        ('engine = "spark"\nwarehouse = "hdfs://h/w"\nkeep_runs = 3', "hdfs://h/w is neither"),
        ('raw = "s3:/bucket/raw"', "an address begins with s3://"),
    ],
)
def test_wrong_place_or_variable_is_told(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path, text, "local")
    assert told in message(tmp_path, "local")


secrets = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=4).filter(
    lambda text: text not in "${SECRET}" and len(text.strip()) >= 4 and not text.startswith("/")
)
SETTINGS = {
    "engine": 'engine = "%s"',
    "raw": 'raw = "%s"',
    "warehouse": 'raw = "."\nwarehouse = "%s"',
    "remote warehouse": 'warehouse = "s3a://user:%s@lake/%s"',
    "odd warehouse": 'raw = "."\nwarehouse = "a[%s"',
    "pipeline": 'pipeline = "%s"',
    "no text": 'pipeline = ["%s"]',
    "no such key": 'nonsense = "%s"',
    "memory": '[duckdb]\nmemory_limit = "%s"',
    "threads": '[duckdb]\nthreads = "%s"',
    "spill": '[duckdb]\ntemp_directory = "/dev/null/%s"\nmemory_limit = "1 %s"',
    "master": 'engine = "duckdb"\n[spark]\nmaster = ["%s"]',
    "spark": '[spark]\nsettings = ["%s"]',
    "a setting of Spark": '[spark.settings]\n"spark.password" = ["%s"]',
    "jars": '[spark]\njars = "%s"',
    "no transport": '[openlineage]\ntransport = "%s"',
    "a transport": 'raw = "."\n[openlineage.transport]\ntype = "%s"\nurl = "http://%s"',
    "namespace": '[openlineage]\nnamespace = ["%s"]',
}


@pytest.mark.parametrize("setting", SETTINGS)
@hypothesis.settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(secret=secrets, before=st.sampled_from(["", "x", "/dev/null/"]), debug=st.booleans())
def test_nothing_that_is_told_shows_what_stands_in_a_variable(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], setting: str, **drawn: Any
) -> None:
    secret = drawn["secret"]
    with pytest.MonkeyPatch.context() as patch:
        (tmp_path / "configs").mkdir(exist_ok=True)
        text = SETTINGS[setting].replace("%s", drawn["before"] + "${SECRET}")
        write(tmp_path / "configs", text, "private")
        command = ["streampro", "run", "--target", "private"]
        patch.setattr(sys, "argv", command + ["--debug"] * drawn["debug"])
        patch.setattr(errors, "_hidden", {})
        patch.setenv("SECRET", secret)
        patch.chdir(tmp_path)
        patch.setattr(sys, "excepthook", sys.excepthook)
        with pytest.raises((SystemExit, StreamProError)) as end:
            cli.main()
        if end.type is not SystemExit:
            sys.excepthook(end.type, end.value, end.tb)
    told = "".join(capfd.readouterr())
    assert told
    assert secret not in told


def test_remote_places_are_joined_like_paths() -> None:
    assert Remote("s3a://bucket/") / "layer" / "table" == "s3a://bucket/layer/table"


def test_spark_local_needs_no_file(tmp_path: Path) -> None:
    assert load_target("spark-local", tmp_path).engine == "spark"
