"""Spark on one machine or a cluster."""
