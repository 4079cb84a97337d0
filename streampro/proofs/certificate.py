"""What a proof of parity leaves behind: who computed from which bytes, and what differs."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any, Self

from streampro.errors import ParityError
from streampro.modeling.quarantine import Books
from streampro.proofs.compare import Cells, Digest, StoredColumn
from streampro.warehouse.run import Run, Warned

_COUNTS = ("lines", "accepted", "duplicates", "rejected")
_LONGEST_CELL = 120
_BEFORE = 30
"""A longer cell is cut to this length, from a bit before its first difference on."""
_LONGEST_NAME = 40
"""Characters of a cell that a message shows where it names a row."""


@dataclass(frozen=True)
class FileFingerprint:
    """The bytes of a raw file; `path` is relative to the raw folder."""

    source: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Side:
    """One of the two runs: who computed, with what code, what it counted."""

    target: str
    engine: str
    packages: Mapping[str, str]
    code: Mapping[str, str]
    seconds: float
    books: tuple[Books, ...]
    warnings: tuple[Warned, ...]

    def __str__(self) -> str:
        return f"{self.target} ({self.engine})"


@dataclass(frozen=True)
class DifferingRow:
    """A row of one side that the other lacks: its key (all its cells where there is no key), and
    the first cell that differs from its partner's, or the only side that has it.
    """

    row: Mapping[str, str | None]
    only: str | None = None
    column: str | None = None
    left: str | None = None
    right: str | None = None

    @classmethod
    def of(
        cls,
        columns: Sequence[StoredColumn],
        key: Sequence[str],
        left: Cells | None,
        right: Cells | None,
    ) -> Self:
        """Return the difference of a row from its partner, None where there is no partner."""
        names = [column.name for column in columns]
        cells = dict(zip(names, left or right or (), strict=True))
        row = {name: _from(0, cells[name]) for name in key or names}
        if left is None or right is None:
            return cls(row, only="right" if left is None else "left")
        pairs = zip(names, left, right, strict=True)
        column, one, other = next(pair for pair in pairs if pair[1] != pair[2])
        start = _first_difference(one or "", other or "")
        return cls(row, None, column, _from(start, one), _from(start, other))

    def __str__(self) -> str:
        name = ", ".join(
            f"{column}={_shown(cell, _LONGEST_NAME)}" for column, cell in self.row.items()
        )
        if self.only:
            return f"{name}: once more on the {self.only}"
        left, right = _shown(self.left), _shown(self.right)
        return f"{name}: {self.column} is {left} on the left, {right} on the right"


@dataclass(frozen=True)
class ComparedTable:
    """A table on both sides. `only_left` counts rows beyond those of the right, `only_right` the
    opposite; both are None where names or types differ, because rows are then not compared.
    """

    table: str
    left: Digest
    right: Digest
    equal: bool
    schema: tuple[str, ...]
    only_left: int | None = 0
    only_right: int | None = 0
    rows: tuple[DifferingRow, ...] = ()

    def __str__(self) -> str:
        parts = list(self.schema)
        if self.only_left is None:
            parts.append("rows are not compared, because the columns differ")
        elif self.only_left or self.only_right:
            parts.append(f"rows only on the left {self.only_left}, on the right {self.only_right}")
        return "\n".join([f"{self.table}: {'; '.join(parts)}", *(f"  {row}" for row in self.rows)])


@dataclass(frozen=True)
class Certificate:
    """What a proof found. All but the times is the same in every proof of the same state.

    Attributes:
        selected: the models whose tables were compared; what they are built from was built, not
            compared.
        compared_with: versions of what read and compared the tables of both sides.
        inputs_sha256: of the text that `sha256sum` prints for `inputs`, in their order.
        digest: how the digests of the tables were computed.
        ledger: what the runs say differently of files, code, books and warnings.
        by_runs: which tables depend on when runs were: of these one run of each side was compared,
            as if both began at the same instant.
    """

    equal: bool
    pipeline: str
    selected: tuple[str, ...]
    started_at: datetime
    finished_at: datetime
    compared_with: Mapping[str, str]
    machine: str
    left: Side
    right: Side
    inputs_sha256: str
    inputs: tuple[FileFingerprint, ...]
    digest: str
    tables: tuple[ComparedTable, ...]
    ledger: tuple[str, ...]
    by_runs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the certificate as JSON values."""
        return asdict(self) | {
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
        }

    def __repr__(self) -> str:
        verdict = "equal" if self.equal else "different"
        return (
            f"<Certificate of {self.pipeline}: {self.left} and {self.right} are {verdict}, "
            f"{len(self.tables)} tables>"
        )

    def check(self) -> None:
        """Raise `ParityError` with every difference, unless there is none."""
        if not self.equal:
            differing = [table for table in self.tables if not table.equal]
            raise ParityError(
                f"left {self.left} and right {self.right} differ in {len(differing)} of "
                f"{len(self.tables)} tables and in {len(self.ledger)} entries of their ledgers.\n"
                + "\n".join([*map(str, differing), *self.ledger]),
                self,
            )


def side_of(done: Run) -> Side:
    """Return what a certificate tells of a run."""
    return Side(
        target=done.target,
        engine=done.engine,
        packages=done.packages,
        code=done.code,
        seconds=(done.finished_at - done.started_at).total_seconds(),
        books=done.books,
        warnings=done.warnings,
    )


def ledger_differences(left: Run, right: Run) -> tuple[str, ...]:
    """Return what two runs say differently of files, code, books and warnings."""
    one, other = _entries(left), _entries(right)
    return tuple(
        f"{name}: {_listed(one, name)} on the left, {_listed(other, name)} on the right"
        for name in dict.fromkeys([*one, *other])
        if sorted(one.get(name, [])) != sorted(other.get(name, []))
    )


def _entries(done: Run) -> dict[str, list[str]]:
    """Return all that a run says and that must not depend on the engine, a text per number."""
    found = defaultdict(list)
    for file in done.inputs:
        found[f"bytes of {file.path} for {file.source}"].append(str(file.size))
    for name, code in done.code.items():
        found[f"code of {name}"].append(code)
    for account in done.books:
        counts = {name: getattr(account, name) for name in _COUNTS}
        counts |= {} if account.elements is None else {"elements": account.elements}
        counts |= {f"rejected as {reason}": n for reason, n in account.reasons.items()}
        counts |= {f"warning {warning}": n for warning, n in account.warnings.items()}
        for name, lines in counts.items():
            found[f"books of {account.source}, {name}"].append(str(lines))
    for warned in done.warnings:
        found[f"warning {warned.rule} of {warned.table}"].append(str(warned.rows))
    return found


def _listed(entries: Mapping[str, Sequence[str]], name: str) -> str:
    return ", ".join(entries.get(name, ())) or "nothing"


def _first_difference(one: str, other: str) -> int:
    """Return where two long cells begin to differ, less a bit; 0 for short ones."""
    if max(len(one), len(other)) <= _LONGEST_CELL:
        return 0
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return max(0, len(list(same)) - _BEFORE)


def _from(start: int, cell: str | None) -> str | None:
    return cell and cell[start : start + _LONGEST_CELL]


def _shown(cell: str | None, longest: int | None = None) -> str:
    """Return a cell as JSON, so that null, an empty text and white space can be told apart."""
    return json.dumps(cell if cell is None else cell[:longest], ensure_ascii=False)
