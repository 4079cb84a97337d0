"""The reconciliation of a source: every line that was counted is accounted for by its fate."""

from streampro.engines.protocol import Quarantined, Raw
from streampro.modeling.model import DUPLICATE
from streampro.modeling.quarantine import Books


def reconcile(
    source: str, raw: Raw, quarantined: Quarantined, accepted: int, repeated: int = 0
) -> Books:
    """Return the books of a source: lines as they were counted, rows as they were written.

    `repeated` are the accepted rows that earlier runs have stored. Raises `BooksError` unless the
    books balance.
    """
    lines = {row["reject_reason"]: row for row in quarantined.tally.to_pylist()}
    kept = lines.pop(None, {"lines": 0, "outcomes": 0, "unreadable": 0})
    marked = lines.pop(DUPLICATE, {"lines": 0, "unreadable": 0})
    unreadable = sum(row["unreadable"] for row in (*lines.values(), kept, marked))
    warnings = {"unreadable_value": unreadable, "invalid_utf8": raw.invalid_utf8}
    books = Books(
        source=source,
        lines=raw.lines if raw.holding is None else raw.holding,
        accepted=accepted,
        duplicates=kept["lines"] - kept["outcomes"] + marked["lines"] + repeated,
        rejected=quarantined.rejected.rows,
        reasons={reason: row["lines"] for reason, row in sorted(lines.items())},
        warnings={name: count for name, count in warnings.items() if count},
        elements=None if raw.holding is None else raw.lines,
    )
    books.check()
    return books
