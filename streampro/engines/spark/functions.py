"""Functions that Spark's SQL calls for what it cannot do as DuckDB does."""

from typing import Any

from streampro.engines.spark import workers

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
