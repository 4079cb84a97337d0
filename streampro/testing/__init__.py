"""Pytest plugin for pipelines: write a test of a model once, run it on every engine.

```python
from streampro.testing import assert_rows_equal

def test_orders_of_one_day_are_one_row(engine):
    orders = engine.table([{"order_id": "a", "amount": 3}, {"order_id": "b", "amount": 4}], Orders)
    assert_rows_equal(engine.rows(daily_sales(orders=orders)), [{"amount": 7}])
```

`pytest --engines duckdb,spark` says on which engines tests that use the fixture `engine` run; the
default is every engine that is installed. All Spark tests of a run share one session.

Fixtures `engine` and `spark` of a project, or of another plugin, take the place of these; what
they hide is `streampro_engine`.
"""

from streampro.testing.assertion import assert_rows_equal as assert_rows_equal
from streampro.testing.plugin import (
    engines_of as engines_of,
    pytest_addoption as pytest_addoption,
    pytest_configure as pytest_configure,
    pytest_generate_tests as pytest_generate_tests,
    pytest_load_initial_conftests as pytest_load_initial_conftests,
    streampro_engine as streampro_engine,
    streampro_spark as streampro_spark,
)
from streampro.testing.workbench import Workbench as Workbench
