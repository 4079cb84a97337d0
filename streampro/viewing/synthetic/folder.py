"""The raw folder: event files by day of delivery, dimension files, and truth.json."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from streampro.errors import ConfigError
from streampro.viewing.synthetic.dimensions import write_dimensions
from streampro.viewing.synthetic.dirt import COPY_SHARE, spoiled
from streampro.viewing.synthetic.events import deliveries
from streampro.viewing.synthetic.plan import planned
from streampro.viewing.synthetic.spelling import LAYOUTS, Layout, Words
from streampro.viewing.synthetic.truth import EventTally, Truth, bad_release, reach, retention
from streampro.viewing.synthetic.world import DAY, Array

# Lines rendered at a time, which bounds memory; a file that holds FILE_LINES takes no more.
CHUNK_LINES, FILE_LINES = 100_000, 1_000_000
LONGEST_WINDOW_DAYS = 365


def generate(
    out: Path,
    *,
    events: int,
    seed: int = 0,
    days: int = 30,
    late: float = 0.02,
    dirt: float = 0.01,
    layout: Layout = "mixed",
    progress: Callable[[int], None] | None = None,
) -> Truth:
    """What was planted in the raw folder `out`, which this writes; equal arguments, equal bytes.

    `events` counts all lines that are not blank, dirty and duplicate ones included. `late` is the
    share of sessions before the last day that arrive up to three days late (of a single day: later
    in that day). `dirt` is the share of dirty lines. `progress` is told the lines written so far.

    Raises ConfigError for an argument out of range and for an `out` that already holds files.
    """
    arguments: dict[str, Any] = {"events": events, "seed": seed, "days": days}
    arguments |= {"late": late, "dirt": dirt, "layout": layout}
    _check(out, **arguments)
    rng = np.random.Generator(np.random.PCG64(seed))
    copies = min(round(events * dirt * COPY_SHARE), events - 1)
    oddities = min(round(events * dirt) - copies, events - copies)
    plan = planned(rng, events - copies, days, late)
    words, tally, lines = Words(plan, layout), EventTally(), 0
    files = _EventFiles(out / "events")
    for batch in deliveries(rng, plan, copies, oddities, late > 0):
        tally.add(batch)
        for low in range(0, len(batch), CHUNK_LINES):
            rows = batch[low : low + CHUNK_LINES]
            files.write(rows["due"] // DAY, spoiled(words.lines(rows), rows, rng))
            lines += len(rows)
            if progress:
                progress(lines)
    users, videos = write_dimensions(out, rng, plan, dirt)
    truth = Truth(
        arguments=arguments,
        events=tally.books(),
        users=users,
        videos=videos,
        late_lines=tally.late_lines,
        user_count=len(plan.device),
        session_count=len(plan.sessions),
        retention=retention(plan, tally.last_ts),
        reach=reach(plan),
        bad_release=bad_release(plan),
    )
    text = json.dumps(asdict(truth), indent=2, ensure_ascii=False)
    (out / "truth.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    return truth


def _check(
    out: Path, events: int, seed: int, days: int, late: float, dirt: float, layout: str
) -> None:
    if events < 1:
        raise ConfigError(f"events is {events}; a raw folder needs at least 1.")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must be 0 or more.")
    if not 1 <= days <= LONGEST_WINDOW_DAYS:
        raise ConfigError(f"days is {days}; it must lie between 1 and {LONGEST_WINDOW_DAYS}.")
    for name, share in (("late", late), ("dirt", dirt)):
        if not 0 <= share <= 1:
            raise ConfigError(f"{name} is {share}; a share lies between 0 and 1.")
    if layout not in LAYOUTS:
        raise ConfigError(f"layout is {layout!r}; it must be 'flat', 'nested' or 'mixed'.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} already holds files. Name an empty or a new folder.")


class _EventFiles:
    """The event files, filled day by day: `events-DATE.jsonl`, then `events-DATE_2.jsonl`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.day, self.part, self.lines = folder, -1, 1, 0

    def write(self, days: Array, lines: Any) -> None:
        """Append each line to the file of its day since 1970; days never go back."""
        cuts = np.flatnonzero(np.diff(days, prepend=-1, append=-1)).tolist()
        offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset :]
        text = memoryview(lines.buffers()[2])
        for start, stop in pairwise(cuts):
            with self._path(int(days[start])).open("ab") as file:
                file.write(text[offsets[start] : offsets[stop]])
            self.lines += stop - start

    def _path(self, day: int) -> Path:
        if day != self.day:
            self.day, self.part, self.lines = day, 1, 0
        elif self.lines >= FILE_LINES:
            self.part, self.lines = self.part + 1, 0
        part = "" if self.part == 1 else f"_{self.part}"
        return self.folder / f"events-{date(1970, 1, 1) + timedelta(days=day)}{part}.jsonl"
