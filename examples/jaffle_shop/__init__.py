"""Orders of a shop that sells toasted sandwiches: a project of dbt, moved over."""

from examples.jaffle_shop import marts, raw, staging
from streampro import Pipeline

PIPELINE = Pipeline("jaffle_shop", [raw, staging, marts])
