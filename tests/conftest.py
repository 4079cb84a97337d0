"""How the tests are shared out among processes."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process run all tests that need Spark, so that there is one session; and each file's
    other tests together, as they share what is costly to make.
    """
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        needs_spark = "spark" in {*getattr(item, "fixturenames", ()), parameters.get("engine")}
        item.add_marker(pytest.mark.xdist_group("spark" if needs_spark else str(item.path)))
