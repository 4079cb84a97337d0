"""Rows as text that has no types of its own."""

from typing import Any

import pyarrow as pa

from streampro.modeling.question import plain_values, value_text

_DIGITS = 6
"""Behind the point: a decimal with more may be written with an exponent."""


def with_texts(table: pa.Table) -> pa.Table:
    """Return an Arrow table with the text of what CSV has not, such as lists and bytes, and of
    decimals that would have an exponent.
    """
    are = pa.types
    in_no_csv = (are.is_nested, are.is_binary, are.is_large_binary, are.is_interval)
    for place, field in enumerate(table.schema):
        is_small = are.is_decimal(field.type) and field.type.scale > _DIGITS
        if is_small or any(is_of(field.type) for is_of in in_no_csv):
            values = plain_values(table.column(place))
            texts = [None if value is None else value_text(value) for value in values]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table


def with_iso_instants(table: pa.Table) -> pa.Table:
    """Return an Arrow table with instants as ISO 8601 text that ends in Z."""
    import pyarrow.compute as pc

    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            text: Any = pc.strftime(table.column(place), "%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(place, field.name, text)
    return table
