"""Pytest plugin that runs the tests which use a model against mutants of it: each in a process of
its own, forked when all tests are collected, so that nothing is imported twice.
"""

import json
import os
import select
import signal
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import ibis.expr.types as ir
import pytest

from streampro.modeling.model import Model
from streampro.proofs.mutation.mutants import mutated
from streampro.proofs.mutation.suite import ASKED

_LEAST_S = 60.0
_TIMES_LONGER = 10
"""After which a mutant whose tests do not end is killed."""


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Run the tests of the model as it is, then of each mutant those that use it until one fails.
    What is found goes to the descriptor that was asked for, a line each.
    """
    if session.testsfailed:
        return (yield)
    asked = json.loads(os.environ.pop(ASKED))
    results = asked["results"]
    os.set_inheritable(results, False)
    items, limit_s = [*session.items], None
    for number in (None, *asked["numbers"]):
        reading, writing = os.pipe()
        pid = _fork()
        if not pid:
            session.items[:] = items
            yield from _tried(session, _Watch(asked, number), writing)
        os.close(writing)
        told = _heard(pid, reading, limit_s)
        if number is None:
            names = told.get("tests", {})
            limit_s = max(_LEAST_S, _TIMES_LONGER * sum(names.values()))
            items = sorted((i for i in items if i.nodeid in names), key=lambda i: names[i.nodeid])
            told["tests"] = [item.nodeid for item in items]
        os.write(results, f"{json.dumps({'number': number} | told)}\n".encode())
        if number is None and (told["failed"] or not items):
            break
    session.items.clear()
    return (yield)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which are asleep
        return os.fork()


def _heard(pid: int, reading: int, limit_s: float | None) -> dict[str, Any]:
    """Return what a process tells before it ends."""
    text, failed = "", "the tests crash"
    try:
        with os.fdopen(reading, encoding="utf-8") as lines:
            if select.select([lines], [], [], limit_s)[0]:
                text = lines.read()
            else:
                failed = f"the tests take longer than {limit_s:.0f} s"
    finally:
        if not text:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return dict(json.loads(text)) if text else {"failed": failed}


def _tried(session: pytest.Session, watch: "_Watch", writing: int) -> Iterator[None]:
    """Run tests, tell what was seen, and end the process."""
    try:
        os.setpgid(0, 0)
        session.config.pluginmanager.register(watch)
        session.config.option.maxfail = 1
        watch.look()
        with suppress(session.Failed):
            yield
        session.config.hook.pytest_sessionfinish(session=session, exitstatus=0)
        os.write(writing, json.dumps(watch.told()).encode())
    finally:
        os._exit(0)


class _Watch:
    """Sees which tests call the model, themselves or in a fixture, how long they take, and which
    fails first.
    """

    def __init__(self, asked: dict[str, Any], number: int | None) -> None:
        self.model = asked["table"], asked["module"]
        self.number = number
        self.failed: str | None = None
        self.seconds: dict[str, float] = {}
        self.item: pytest.Item | None = None
        self.users: dict[str, None] = {}
        self.fixtures: list[tuple[str, str]] = []
        self.using: set[tuple[str, str]] = set()

    def look(self) -> None:
        """Let calls of the model be calls of its mutant, and be seen."""
        call = Model.__call__

        def seen(called: Model, *args: ir.Table, **inputs: ir.Table) -> ir.Table:
            if (called.table, called.transform.__module__) != self.model:
                return call(called, *args, **inputs)
            if self.item:
                self.users[self.item.nodeid] = None
            self.using.update(self.fixtures)
            of = called if self.number is None else mutated(called, self.number)
            return call(of, *args, **inputs)

        Model.__call__ = seen  # type: ignore[method-assign]

    def told(self) -> dict[str, Any]:
        """Return what was seen, as JSON values."""
        if self.number is not None:
            return {"failed": self.failed}
        return {"failed": self.failed, "tests": {each: self.seconds[each] for each in self.users}}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        """Note which test runs, and whether it has what a fixture made of the model."""
        self.item = item
        done = yield
        names = {*getattr(item, "fixturenames", ())}
        if any(name in names and item.nodeid.startswith(base) for base, name in self.using):
            self.users[item.nodeid] = None
        return done

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[Any]:
        """Note which fixture is made."""
        self.fixtures.append((fixturedef.baseid, fixturedef.argname))
        try:
            return (yield)
        finally:
            self.fixtures.pop()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long a test takes, and whether it fails."""
        name = report.nodeid
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration
        if report.failed:
            self.failed = self.failed or name
