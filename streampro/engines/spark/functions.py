"""Functions of Python that Spark calls: for what its SQL cannot do as DuckDB does, and those of
users.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from streampro.engines.grouped import grouped
from streampro.engines.spark import workers
from streampro.expressions.python import RowsOfKeys, order_of

JSON_ELEMENTS = "streampro_json_elements"


def register(spark: Any) -> None:
    """Give a session the functions that `compiler.py` writes."""
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf
    from pyspark.sql.types import ArrayType, StringType

    def json_elements(texts: pd.Series, pointers: pd.Series) -> pd.Series:
        return workers.json_elements(texts, pointers)

    made = pandas_udf(json_elements, ArrayType(ArrayType(StringType())))  # type: ignore[call-overload]  # no pandas stubs
    spark.udf.register(JSON_ELEMENTS, made)


@contextmanager
def of_python(rows: Any, node: RowsOfKeys, columns: str) -> Iterator[Any]:
    """Yield the data frame of what a user's function makes of the rows of each key, which it is
    given in a worker. The modules of its package travel with it: workers need not have them.
    """
    from pyspark import cloudpickle

    pickling: Any = cloudpickle
    order = order_of(node)
    work = partial(
        grouped,
        by=node.by,
        function=node.function,
        frame=node.frame,
        given=node.parent.schema.to_pyarrow(),
        made=node.schema.to_pyarrow(),
        is_sorted=order is not None,
    )
    sort = [rows[f"`{name}`"].asc_nulls_first() for name in order or [node.by]]
    package = node.function.__module__.partition(".")[0]
    taken = [m for name, m in sys.modules.items() if name.partition(".")[0] == package]
    for module in taken:
        pickling.register_pickle_by_value(module)
    try:
        yield (
            rows.repartition(rows[f"`{node.by}`"])
            .sortWithinPartitions(*sort)
            .mapInArrow(work, columns)
        )
    finally:
        for module in taken:
            pickling.unregister_pickle_by_value(module)
