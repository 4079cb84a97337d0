"""Where the boxes and arrows of a graph stand: generations from top to bottom, few crossings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

BOX_HEIGHT = 44
_GAP, _GAP_BETWEEN_GENERATIONS, _MARGIN = 18, 46, 2
_WIDTH_OF_PASSAGE = 14
_EXIT = 12
_SWEEPS = 4

Key = tuple[str, ...]
"""A box by its name; the passage of an arrow through a generation by its ends and the generation.
"""


class Size(NamedTuple):
    """Width and height of a rectangle in pixels; arrows leave above its foot, on the left."""

    width: float
    height: float
    foot: float = 0


@dataclass(frozen=True)
class Placed:
    """A rectangle in pixels; `x` is the middle."""

    x: float
    y: float
    width: float
    height: float
    foot: float

    @property
    def left(self) -> float:
        """Return the left edge."""
        return self.x - self.width / 2

    @property
    def bottom(self) -> float:
        """Return the lower edge."""
        return self.y + self.height

    @property
    def exit(self) -> tuple[float, float]:
        """Return where arrows leave."""
        return (self.left + _EXIT if self.foot else self.x), self.bottom - self.foot


@dataclass(frozen=True)
class Drawing:
    """Boxes by name, and the SVG paths of the arrows between them, all in pixels."""

    width: float
    height: float
    boxes: dict[str, Placed]
    arrows: list[str]


def draw(
    inputs: Mapping[str, Sequence[str]],
    generations: Sequence[Sequence[str]],
    sizes: Mapping[str, Size],
) -> Drawing:
    """Place boxes of given sizes, every one below all of its `inputs`."""
    chains = _chains(inputs, generations)
    rows = _ordered([*map(list, _rows(chains, generations))], chains)
    places = _placed(rows, {(name,): size for name, size in sizes.items()})
    boxes = {key[0]: place for key, place in places.items() if len(key) == 1}
    return Drawing(
        width=max((place.left + place.width for place in places.values()), default=0) + _MARGIN,
        height=max((place.bottom for place in places.values()), default=0) + _MARGIN,
        boxes=boxes,
        arrows=[_path([places[key] for key in chain]) for chain in chains],
    )


def _chains(
    inputs: Mapping[str, Sequence[str]], generations: Sequence[Sequence[str]]
) -> list[list[Key]]:
    """Return per arrow its way: a box, a passage in every generation between, a box."""
    depth = {name: number for number, row in enumerate(generations) for name in row}
    return [
        [
            (start,),
            *((start, end, str(between)) for between in range(depth[start] + 1, depth[end])),
            (end,),
        ]
        for end, starts in inputs.items()
        for start in starts
    ]


def _rows(chains: Sequence[list[Key]], generations: Sequence[Sequence[str]]) -> list[list[Key]]:
    rows: list[list[Key]] = [[(name,) for name in row] for row in generations]
    for chain in chains:
        for passage in chain[1:-1]:
            rows[int(passage[2])].append(passage)
    return rows


def _ordered(rows: list[list[Key]], chains: Sequence[list[Key]]) -> list[list[Key]]:
    """Order every row by where its neighbours stand in the row above, then in the one below."""
    above: dict[Key, list[Key]] = {}
    below: dict[Key, list[Key]] = {}
    for chain in chains:
        for upper, lower in pairwise(chain):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    for sweep in range(_SWEEPS):
        neighbours, order = (above, rows) if sweep % 2 == 0 else (below, rows[::-1])
        for fixed, row in pairwise(order):
            place = {key: (number + 0.5) / len(fixed) for number, key in enumerate(fixed)}
            own = {key: (number + 0.5) / len(row) for number, key in enumerate(row)}
            row.sort(key=lambda key: _middle(neighbours.get(key, []), place, own[key]))
    return rows


def _middle(neighbours: Sequence[Key], place: Mapping[Key, float], own: float) -> float:
    found = [place[key] for key in neighbours if key in place]
    return sum(found) / len(found) if found else own


def _placed(rows: Sequence[Sequence[Key]], sizes: Mapping[Key, Size]) -> dict[Key, Placed]:
    width = max((_width(row, sizes) for row in rows), default=0.0)
    places: dict[Key, Placed] = {}
    y = float(_MARGIN)
    for row in rows:
        x = _MARGIN + (width - _width(row, sizes)) / 2
        passage = Size(_WIDTH_OF_PASSAGE, max(sizes[key].height for key in row if key in sizes))
        for key in row:
            size = sizes.get(key, passage)
            places[key] = Placed(x + size.width / 2, y, *size)
            x += size.width + _GAP
        y += passage.height + _GAP_BETWEEN_GENERATIONS
    return places


def _width(row: Sequence[Key], sizes: Mapping[Key, Size]) -> float:
    wide = [sizes[key].width if key in sizes else _WIDTH_OF_PASSAGE for key in row]
    return sum(wide) + _GAP * (len(row) - 1)


def _path(places: Sequence[Placed]) -> str:
    """Return a curve that leaves and enters every rectangle upright."""
    x, y = places[0].exit
    path = f"M{x:.0f} {y:.0f}V{places[0].bottom:.0f}"
    for upper, lower in pairwise(places):
        middle = (upper.bottom + lower.y) / 2
        path += f"C{x:.0f} {middle:.0f} {lower.x:.0f} {middle:.0f} {lower.x:.0f} {lower.y:.0f}"
        x = lower.x
        if lower is not places[-1]:
            path += f"V{lower.bottom:.0f}"
    return path
