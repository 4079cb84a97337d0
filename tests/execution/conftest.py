"""A warehouse after one run, which tests copy."""

import pytest
from pipelines.shop import SHOP, write_raw

from streampro.config import Target
from streampro.execution.runner import run


@pytest.fixture(scope="session")  # tests of other modules may run between those of one
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("first")
    made = Target(name="test", raw=write_raw(folder / "raw"), warehouse=folder / "warehouse")
    run(SHOP, made)
    return made
