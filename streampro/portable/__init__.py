"""Ibis helpers with one meaning on every engine, for what Ibis alone leaves to the engine."""

from streampro.portable.aggregates import (
    LARGEST_INT64 as LARGEST_INT64,
    bounded_sum as bounded_sum,
    count_if as count_if,
    earliest as earliest,
    latest as latest,
    mean as mean,
    mode as mode,
    sum_floats as sum_floats,
)
from streampro.portable.history import versions_of as versions_of
from streampro.portable.instants import (
    from_epoch as from_epoch,
    iso_week as iso_week,
    iso_year as iso_year,
    to_date as to_date,
    to_utc as to_utc,
)
from streampro.portable.json import (
    mask_json_value as mask_json_value,
    unnest_json as unnest_json,
)
from streampro.portable.numbers import (
    ratio as ratio,
    to_decimal as to_decimal,
    to_float as to_float,
    to_integer as to_integer,
)
from streampro.portable.text import (
    lower as lower,
    split_part as split_part,
    strip as strip,
    to_boolean as to_boolean,
    upper as upper,
)
from streampro.portable.zones import local_date as local_date, local_hour as local_hour
