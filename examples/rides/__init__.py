"""Rides of rented bikes, brought together from five kinds of sources."""

from examples.rides import answers, mart, raw, staging
from streampro import Pipeline

PIPELINE = Pipeline("rides", [raw, staging, mart, answers])
