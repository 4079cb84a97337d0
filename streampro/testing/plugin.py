"""The pytest plugin: its option and its fixtures."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from streampro.engines.registry import ENGINES
from streampro.environment import OF_IBIS
from streampro.testing.workbench import Application, Workbench


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--engines`."""
    parser.addoption(
        "--engines",
        help=f"Engines for tests with the fixture `engine`: {','.join(ENGINES)}; "
        "default: those that are installed.",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Offer the short names before any conftest file has its say, so that its fixtures count."""
    _offer_short_names(early_config.pluginmanager)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse unknown engines before anything runs; pass over warnings that nobody can mend."""
    _offer_short_names(config.pluginmanager)
    engines_of(config)
    for start, kind in OF_IBIS:
        config.addinivalue_line("filterwarnings", f"ignore:{start}:{kind.__name__}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that need the engine under test once per engine."""
    if "streampro_engine" in metafunc.fixturenames:
        names = engines_of(metafunc.config)
        metafunc.parametrize("streampro_engine", names, indirect=True, scope="session")


def engines_of(config: pytest.Config) -> list[str]:
    """Return the engines of a test run. Raises `UsageError` for an unknown one."""
    asked = config.getoption("--engines")
    if asked is None:
        return [name for name, entry in ENGINES.items() if entry.is_installed]
    names = [name.strip() for name in asked.split(",")]
    if unknown := [name for name in names if name not in ENGINES]:
        raise pytest.UsageError(f"--engines: no engine {', '.join(unknown)}; {', '.join(ENGINES)}")
    return names


@pytest.fixture(scope="session")
def engine(streampro_engine: Workbench) -> Workbench:
    """The engine under test."""
    return streampro_engine


@pytest.fixture(scope="session")
def spark(streampro_spark: Application) -> Any:
    """A Spark session with Delta Lake, one for the whole test run."""
    return streampro_spark.session


@pytest.fixture(scope="session")
def streampro_spark() -> Iterator[Application]:
    """The Spark application of the test run."""
    application = Application()
    yield application
    application.close()


@pytest.fixture(scope="session")
def streampro_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workbench]:
    """The engine under test, also where `engine` is another fixture."""
    from streampro.config import Target

    if not hasattr(request, "param"):
        pytest.fail("a test asks for `engine` by an argument or `usefixtures`.", pytrace=False)
    name = request.param
    target = Target(name="test", engine=name, warehouse=tmp_path_factory.mktemp("engine"))
    application = request.getfixturevalue("streampro_spark") if name == "spark" else None
    workbench = Workbench(target, application)
    workbench.engine  # noqa: B018  # an engine that cannot start is an error of the fixture
    yield workbench
    workbench.close()


def _offer_short_names(plugins: pytest.PytestPluginManager) -> None:
    """Register `engine` and `spark`, each unless another plugin has a fixture of that name."""
    for name, fixture in {"engine": engine, "spark": spark}.items():
        others = (each for each in plugins.get_plugins() if isinstance(each, ModuleType))
        if not any(type(getattr(each, name, None)) is type(fixture) for each in others):
            offered = ModuleType(f"streampro.testing.{name}")
            setattr(offered, name, fixture)
            plugins.register(offered, offered.__name__)
