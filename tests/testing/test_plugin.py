"""The plugin that runs a test of a model on every engine, beside fixtures of others."""

import ibis.expr.datatypes as dt
import pytest

from streampro import Contract, Target, column
from streampro.testing import Workbench

pytest_plugins = ["pytester"]


class Numbers(Contract):
    """One row per number."""

    n: dt.Int64 = column("A number.")


A_TEST = """
import ibis.expr.datatypes as dt
from streampro import Contract, column

class Numbers(Contract):
    "One row per number."

    n: dt.Int64 = column("A number.")

def test_{name}({engine}):
    assert {engine}.rows({engine}.table([{{"n": 1}}], Numbers)) == [{{"n": 1}}]
"""
OWN_SPARK = """
import pytest

@pytest.fixture{scope}
def spark():
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[1]").appName("ours").getOrCreate()
    yield session
    session.stop()
"""
OWN_TEST = "def test_own(spark): assert spark.range(3).count() == 3"


@pytest.fixture(autouse=True, scope="module")
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let a process have what its tests within tests import; they forget what they import, and
    native libraries cannot be imported again.
    """
    bench = Workbench(Target(name="first", warehouse=tmp_path_factory.mktemp("first")))
    assert bench.rows(bench.table([{"n": 1}], Numbers)) == [{"n": 1}]
    bench.close()


def test_unknown_engine_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(engine): pass")
    found = pytester.runpytest_inprocess("--engines", "duckdb,sprak")
    found.stderr.fnmatch_lines(["*no engine sprak; duckdb, spark"])


def test_engines_are_chosen_by_the_option(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(engine): assert engine.name == 'duckdb'")
    pytester.runpytest_inprocess("--engines", "duckdb").assert_outcomes(passed=1)


@pytest.mark.parametrize("scope", ["", "(scope='module')", "(scope='session')"])
def test_a_projects_own_engine_is_left_alone(pytester: pytest.Pytester, scope: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.fixture{scope}
        def engine():
            return "mine"

        def test_one(engine):
            assert engine == "mine"
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_an_engine_around_that_of_the_plugin_runs_on_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture
        def engine(engine, tmp_path):
            return engine
        """
    )
    pytester.makepyfile(A_TEST.format(name="one", engine="engine"))
    pytester.runpytest_inprocess("--engines", "duckdb").assert_outcomes(passed=1)


def test_an_engine_of_another_plugin_counts_and_does_not_hide_that_of_this(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        other="""
        import pytest

        @pytest.fixture
        def engine():
            return "theirs"
        """
    )
    pytester.makepyfile(
        test_both=A_TEST.format(name="ours", engine="streampro_engine")
        + "\ndef test_theirs(engine): assert engine == 'theirs'"
        + "\ndef test_both(engine, streampro_engine): assert streampro_engine.name == 'duckdb'"
    )
    pytester.syspathinsert()
    done = pytester.runpytest_inprocess("-p", "other", "--engines", "duckdb")
    done.assert_outcomes(passed=3)


def test_arguments_of_a_test_may_have_the_names(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize(("engine", "spark"), [("steam", "plug")])
        def test_one(engine, spark):
            assert (engine, spark) == ("steam", "plug")
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.thorough
@pytest.mark.slow
def test_a_projects_own_spark_comes_and_goes_between_the_tests(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(OWN_SPARK.format(scope=""))
    ours = A_TEST.format(name="ours", engine="engine")
    both = A_TEST.format(name="both", engine="engine").replace("(engine)", "(engine, spark)")
    pytester.makepyfile(test_a=OWN_TEST, test_b=ours, test_c=both, test_d=both, test_e=ours)
    pytester.runpytest_subprocess("--engines", "spark").assert_outcomes(passed=5)


@pytest.mark.thorough
@pytest.mark.slow
def test_a_projects_own_spark_that_stays_must_know_delta(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(OWN_SPARK.format(scope="(scope='session')"))
    pytester.makepyfile(test_a=OWN_TEST, test_b=A_TEST.format(name="ours", engine="engine"))
    done = pytester.runpytest_subprocess("--engines", "spark")
    done.assert_outcomes(passed=1, errors=1)
    said = "the Spark session does not know Delta Lake. Start it with --packages io.delta:delta-"
    done.stdout.fnmatch_lines([f"*ConfigError: {said}*spark.sql.extensions=*spark_catalog=*"])
