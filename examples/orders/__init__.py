"""Orders of a shop and the payments that follow, often late: who pays in time, what is open."""

from examples.orders import answers, intermediate, mart, raw, staging
from streampro import Pipeline

PIPELINE = Pipeline("orders", [raw, staging, intermediate, mart, answers])
