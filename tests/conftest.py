"""How the tests are shared out among processes."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a process run all tests of a folder that need Spark, so that they share a session, and
    each file's other tests, as they share what is costly to make.
    """
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        needs_spark = "spark" in {*getattr(item, "fixturenames", ()), parameters.get("engine")}
        place = item.path.parent if needs_spark else item.path
        item.add_marker(pytest.mark.xdist_group(f"{place} {needs_spark}"))
