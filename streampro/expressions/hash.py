"""The digest of an expression, equal exactly where the same rows come out."""

import hashlib

import ibis
import ibis.expr.types as ir


def code_hash(reading_rules: int, rows: ir.Table, audit: ir.Table, *declared: object) -> str:
    """Return the digest of an expression, of the query that audits it, and of what is `declared`
    beside them; `reading_rules` is the version by which raw text is read.

    SQL tells of an expression what its `repr` leaves out, such as where nulls are sorted.
    """
    queries = (ibis.to_sql(each, dialect="duckdb") for each in (rows, audit))
    hashed = (reading_rules, *queries, *declared)
    return hashlib.sha256(repr(hashed).encode()).hexdigest()[:16]
