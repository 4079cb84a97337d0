"""Digests of what tables are built from, equal exactly where the same rows come out."""

import hashlib
from collections.abc import Iterable

import ibis
import ibis.expr.types as ir

from streampro.contract import Contract, audit, key_of, rules_of, schema_of

_READING_RULES = 1
"""Raised whenever the same raw text is read as other values; tables are then built anew."""


def code_hash(rows: ir.Table, contract: type[Contract], read: Iterable[object]) -> str:
    """Return the digest of an expression, its contract, and all else that `read` tells.

    SQL tells of an expression what its `repr` leaves out, such as where nulls are sorted.
    """
    columns = contract.to_schema().columns
    checked = audit(contract, ibis.table(schema_of(contract), name="rows"), {})
    told = (
        _READING_RULES,
        ibis.to_sql(rows, dialect="duckdb"),
        ibis.to_sql(checked, dialect="duckdb"),
        repr(schema_of(contract)),
        [(name, spec.description, spec.metadata) for name, spec in columns.items()],
        key_of(contract),
        [(rule.name, rule.severity) for rule in rules_of(contract)],
        [repr(each) for each in read],
    )
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]
