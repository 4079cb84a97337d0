"""Pytest plugin for pipelines: the same test on every engine."""
