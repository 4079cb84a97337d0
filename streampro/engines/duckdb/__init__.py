"""DuckDB on one machine."""
