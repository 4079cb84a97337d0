"""StreamPro as a library: what it leaves behind, what it prints, how it is typed."""

import gc
import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pipelines.shop import SALES, SHOP, write_raw

import streampro
from streampro import ContractError, SourceError, Target, WarehouseError

NEGATIVE = '{"shop": "d", "day": "2024-05-01", "amount": "-1"}\n'
"""A sale for which the contract of `mart.revenue` stops the run."""

SCRIPT = '''\
from pathlib import Path

import ibis.expr.datatypes as dt
import ibis.expr.types as ir

import streampro
from streampro import Contract, DataError, Instant, Model, Source, column, model, rule

orders = Source(name="orders", files=("*.csv",), format="csv", fields={"amount": ("amount",)})


class Total(Contract):
    """One row."""

    amount: dt.Int64 = column("Sum.", nullable=True, ge=0)
    latest_ts: Instant = column("Newest.", nullable=True)

    class Config:
        unique = ["amount"]

    @rule("warn")
    def amount_is_usual(cls, total: ir.Table) -> ir.BooleanValue:
        return total.amount < 1000


@model(contract=Total)
def total(orders: ir.Table) -> ir.Table:
    return orders.aggregate(amount=orders.count())


def refresh(pipeline: streampro.Pipeline, watcher: streampro.Watcher | None = None) -> int:
    target: streampro.Target = streampro.load_target("local", Path("configs"), raw="raw")
    plan: streampro.Plan = streampro.plan(pipeline, target)
    print(len(plan.moves), total.name)
    try:
        run: streampro.Run = streampro.run(pipeline, target, select="total", watcher=watcher)
    except DataError as error:
        raise SystemExit(error.exit_code) from error
    with streampro.published(target, run.run_id) as tables:
        rows: int = tables.table("mart.total").count().to_pyarrow().as_py()
    found: list[streampro.Run] = streampro.runs(target)
    certificate: streampro.Certificate = streampro.prove(pipeline, target, target)
    certificate.check()
    cleaned: list[streampro.Cleaned] = streampro.clean(target, keep=3)
    streampro.rollback(target, 1)
    built: Model = total
    wrong: str = plan
    return rows + len(found) + len(cleaned) + len(built.inputs) + len(wrong)
'''


EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


@pytest.fixture
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Let a test fail for an open file, a temporary folder or a staged file that it leaves, and
    for a lock that it holds.
    """
    yield
    opened = [file.path for file in psutil.Process().open_files()]
    assert [path for path in opened if Path(path).is_relative_to(tmp_path)] == []
    assert list((tmp_path / "scratch").iterdir()) == []
    assert list((tmp_path / "warehouse" / "_streampro" / "staging").glob("*")) == []
    gc.collect()  # what was not closed warns when it is collected, and warnings are errors


def fails(target: Target) -> None:
    (Path(str(target.raw)) / "sales9.jsonl").write_text(NEGATIVE, encoding="utf-8")
    with pytest.raises(ContractError):
        streampro.run(SHOP, target)


def is_refused(target: Target) -> None:
    with pytest.raises(SourceError):
        streampro.plan(SHOP, target.model_copy(update={"raw": target.warehouse.parent}))


def asks_wrongly(target: Target) -> None:
    streampro.run(SHOP, target)
    with pytest.raises(streampro.ConfigError):
        streampro.sql("select nothing from nowhere", target)


def asks(target: Target) -> None:
    streampro.run(SHOP, target)
    streampro.sql("from mart.revenue", target)
    with streampro.published(target) as tables:
        tables.table("mart.revenue").to_pyarrow()


def proves(target: Target) -> None:
    streampro.prove(SHOP, target, target)


def proves_wrongly(target: Target) -> None:
    (Path(str(target.raw)) / "sales9.jsonl").write_text(NEGATIVE, encoding="utf-8")
    with pytest.raises(ContractError):
        streampro.prove(SHOP, target, target)


CALLS: list[Callable[[Target], object]] = [
    lambda target: streampro.run(SHOP, target),
    lambda target: streampro.plan(SHOP, target),
    asks,
    proves,
    fails,
    is_refused,
    asks_wrongly,
    proves_wrongly,
]
NAMES = ["run", "plan", "asks", "proves", "fails", "is_refused", "asks_wrongly", "proves_wrongly"]


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_is_left")
@pytest.mark.parametrize("call", CALLS, ids=NAMES)
def test_calls_print_nothing_and_leave_nothing_open_or_behind(
    call: Callable[[Target], object],
    target: Target,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    call(target)
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []


@pytest.mark.slow
def test_one_process_goes_on_after_a_run_that_failed(target: Target) -> None:
    assert streampro.run(SHOP, target).run_id == 1
    fails(target)
    (Path(str(target.raw)) / "sales9.jsonl").unlink()
    assert streampro.run(SHOP, target).kind == "unchanged"
    shutil.rmtree(target.warehouse)
    assert streampro.run(SHOP, target).run_id == 1


@pytest.mark.slow
def test_two_warehouses_in_two_threads_do_not_meet(target: Target, tmp_path: Path) -> None:
    """Each thread runs, asks, fails and runs again, while the other does the same."""
    together = threading.Barrier(2)
    found: dict[str, list[object]] = {}

    def work(name: str, sales: str) -> None:
        raw = write_raw(tmp_path / name, sales)
        own = target.model_copy(update={"raw": raw, "warehouse": tmp_path / f"{name}-warehouse"})
        told: list[object] = []
        for _ in range(2):
            together.wait(60)
            told.append(streampro.run(SHOP, own).kind)
            told.append(
                streampro.sql("select sum(amount) as s from mart.revenue", own)["s"][0].as_py()
            )
            together.wait(60)
            fails(own)
            (raw / "sales9.jsonl").unlink()
        found[name] = told

    threads = [
        threading.Thread(target=work, args=("one", SALES)),
        threading.Thread(target=work, args=("two", SALES.replace('"7"', '"8"'))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found == {"one": ["full", 22, "unchanged", 22], "two": ["full", 23, "unchanged", 23]}


def test_a_second_thread_on_the_same_warehouse_is_refused(target: Target) -> None:
    raised: list[WarehouseError] = []

    def second() -> None:
        try:
            streampro.run(SHOP, target)
        except WarehouseError as error:
            raised.append(error)

    class Meddler:
        """Starts the second run while the first one is at work."""

        def step(self, what: str, progress: object) -> "Meddler":
            if what == "publish":
                thread = threading.Thread(target=second)
                thread.start()
                thread.join(60)
            return self

        def staged(self, *_: object) -> None: ...

        def notice(self, *_: object) -> None: ...

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    assert streampro.run(SHOP, target, watcher=Meddler()).run_id == 1
    assert [str(error) for error in raised] == [
        f"another run is writing to {target.warehouse}. Wait for it to end, then run again."
    ]


def test_arguments_stand_in_one_order() -> None:
    functions = {
        name: list(inspect.signature(function).parameters)
        for name in streampro.__all__
        if inspect.isfunction(function := getattr(streampro, name))
    }
    asked = {name: names for name, names in functions.items() if {"target", "left"} & {*names}}
    assert len(asked) > 10
    for name, names in asked.items():
        before = names[: names.index("target" if "target" in names else "left")]
        assert before in ([], ["pipeline"], ["query"], ["table"]), name


def test_every_public_name_is_documented() -> None:
    for name in streampro.__all__:
        found = getattr(streampro, name)
        assert name == "Instant" or (found.__doc__ or "").strip(), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["Contract", "Target", "forget", "load_target", "plan", "published", "run", "runs", "sql"],
)
def test_examples_of_docstrings_run(
    name: str, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(str(target.raw)).parent)
    streampro.run(SHOP, target)
    [example] = EXAMPLE.findall(inspect.getdoc(getattr(streampro, name)) or "")
    exec(example, {"streampro": streampro, "PIPELINE": SHOP, "target": target, "Path": Path})


@pytest.mark.thorough
@pytest.mark.slow
def test_a_user_s_strict_type_check_finds_the_one_mistake(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    package = Path(streampro.__file__).parent
    assert (package / "py.typed").is_file(), "without it type checkers ignore our types"
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull]
    command += ["--disable-error-code=import-untyped", "script.py"]
    if cache := pytestconfig.cache:
        command += ["--cache-dir", str(cache.mkdir("mypy"))]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    [told] = [line for line in done.stdout.splitlines() if line.startswith("script.py")]
    assert told.endswith(
        'Incompatible types in assignment (expression has type "Plan", variable has type "str")'
        "  [assignment]"
    )


@pytest.mark.slow
def test_importing_it_changes_no_variable_of_the_process() -> None:
    script = """if True:
        import os
        before = {**os.environ}
        import streampro
        [getattr(streampro, name) for name in streampro.__all__]
        import streampro.testing, streampro.engines.duckdb.engine
        assert {**os.environ} == before, {*os.environ} ^ {*before}
    """
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.slow
def test_representations_are_a_line_and_escape_what_they_show(target: Target) -> None:
    run = streampro.run(SHOP, target.model_copy(update={"name": "<b>"}))
    assert repr(run).startswith("<Run 1 of shop: full, 4 tables, target <b> (duckdb), ")
    assert "target &lt;b&gt; (duckdb)" in run._repr_html_()
    assert '<td style="text-align: left">mart.revenue</td>' in run._repr_html_()
    plan = streampro.plan(SHOP, target)
    assert repr(plan) == "<Plan: 0 new files, 3 unchanged>"
    assert "nothing it is built from changed" in plan._repr_html_()
    proof = streampro.prove(SHOP, target, target)
    assert repr(proof) == (
        "<Certificate of shop: test (duckdb) and test (duckdb) are equal, 4 tables>"
    )
