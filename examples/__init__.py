"""Pipelines written with the public API only."""
