"""How the tests are shared out among processes, a browser for those that look at a page, and a
store.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
import servers
from hypothesis import settings
from pipelines.shop import SHOP, write_raw
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from servers import Lake, MariaDB, Postgres
from warm_streampro import Commands

from streampro.config import Target
from streampro.execution.runner import run

Scheme = Literal["light", "dark"]
HEAVY = {"browser", "running", "desk", "lake", "postgres", "mariadb"}
"""Fixtures that start a browser, a cluster, a store, a database, or the commands of a page of the
documentation."""

settings.register_profile("default", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=200, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
os.environ["SPARK_CONF_DIR"] = str(Path(__file__).with_name("spark-conf"))


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let a process run all tests of a folder that need Spark, and each file's other tests, as they
    share what is costly to make. A test may say its own group. What is marked `thorough` is for
    that profile, unless `-m` speaks of it.
    """
    if (
        settings.default is not settings.get_profile("thorough")
        and "thorough" not in config.option.markexpr
    ):
        left_out = [item for item in items if is_thorough(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        chosen = (parameters.get(name) for name in ("streampro_engine", "run"))
        needs_spark = bool({"spark", "on_spark"} & {*getattr(item, "fixturenames", ()), *chosen})
        if needs_spark or HEAVY & {*getattr(item, "fixturenames", ())}:
            item.add_marker("slow")
        place = item.path.parent if needs_spark else item.path
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(f"{place} {needs_spark}"))


def is_thorough(item: pytest.Item) -> bool:
    """Tell whether a test is marked `thorough`, or `thorough("spark")` and would run on Spark."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    given = {*map(str, parameters.values())}
    marks = item.iter_markers("thorough")
    return any(not mark.args or {*mark.args} & given for mark in marks)


@pytest.fixture(scope="session")  # tests of other modules may run between those of one
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """A warehouse after one run, which tests copy."""
    folder = tmp_path_factory.mktemp("first")
    made = Target(name="test", raw=write_raw(folder / "raw"), warehouse=folder / "warehouse")
    run(SHOP, made)
    return made


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """The command line ends with its signals ignored, and so would all that is started later."""
    before = {
        each: signal.getsignal(each) for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@dataclass
class Opened:
    """A page in a browser, and what it said and asked for on the way."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def ask(self, script: str) -> Any:
        return self.page.evaluate(script)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this process, which tests share: each cleans up what it made."""
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB of this process, which tests share: each cleans up what it made."""
    with servers.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """The command `streampro` for tests that call it often."""
    found = Commands(tmp_path_factory.mktemp("commands"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "no Chromium: `make browser` installs it"
    with sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        yield playwright.chromium.launch(executable_path=path, args=flags)


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Open a file in a window of its own and wait until its charts are drawn."""
    yield from windows(browser)


@pytest.fixture(scope="module")
def seen(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Open a file in a window that tests share which only look at it."""
    yield from map(cache, windows(browser))


def windows(browser: Browser) -> Iterator[Callable[..., Opened]]:
    contexts: list[BrowserContext] = []

    def open_file(path: Path, width: int = 1280, scheme: Scheme = "light") -> Opened:
        contexts.append(
            browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        )
        found = Opened(contexts[-1].new_page())
        found.page.on("console", lambda message: found.messages.append(message.text))
        found.page.on("pageerror", lambda error: found.messages.append(str(error)))
        found.page.on("dialog", lambda dialog: found.messages.append(dialog.message))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.goto(path.as_uri())
        charts = "document.querySelectorAll('.chart').length"
        found.page.wait_for_function(f"document.querySelectorAll('.chart svg').length === {charts}")
        return found

    yield open_file
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def store_server() -> Iterator[str]:
    """Start a store: in a process of its own, for native libraries hold Python while they wait."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(Path(__file__).with_name("faulty_store.py")), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        endpoint = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urlopen(f"{endpoint}/-/requests").close()
                break
            except OSError:
                assert server.poll() is None, "the store ended"
                time.sleep(0.1)
        yield endpoint
        server.kill()


@pytest.fixture
def lake(store_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """An empty bucket, reached by what the environment says."""
    told = {
        "AWS_ENDPOINT_URL": store_server,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    bucket = f"lake-{uuid4().hex[:12]}"
    urlopen(Request(f"{store_server}/{bucket}", method="PUT")).close()
    found = Lake(store_server, f"s3://{bucket}")
    yield found
    found.spoil("none", 0)
