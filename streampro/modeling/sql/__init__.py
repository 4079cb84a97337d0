"""A text of SQL as an Ibis expression, so that all that holds for one holds for the other.

What is read is DuckDB's dialect: queries with joins, subqueries, groups, windows and set operations
over the tables of a pipeline. What has no meaning here that is the same on every engine is refused,
with line and column.
"""
