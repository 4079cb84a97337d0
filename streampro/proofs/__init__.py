"""That two engines, or incremental and full runs, compute the same rows."""
