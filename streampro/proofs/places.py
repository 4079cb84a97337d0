"""Where a proof reads the raw files of sources: on this machine, whatever place they are in."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from streampro.config import Target
from streampro.errors import ConfigError
from streampro.formats.files import on_disk
from streampro.location import Location
from streampro.modeling.source import Source
from streampro.storage.place import place_of
from streampro.warehouse.folders import is_at_hand


def refuse_out_of_reach(sources: Iterable[Source], target: Target) -> None:
    """Raise `ConfigError` for a source whose files this process does not reach by itself."""
    for source in sources:
        if not is_at_hand(source, target):
            raw = target.raw_of(source.name)
            raise ConfigError(
                f"target {target.name!r} has no raw folder on this machine for source "
                f"{source.name!r} (it has {raw}): {_advice(source, target)}."
            )


def refuse_other_folders(sources: Iterable[Source], left: Target, right: Target) -> None:
    """Raise `ConfigError` for a source whose files two targets have in different folders."""
    for source in sources:
        one, other = left.raw_of(source.name), right.raw_of(source.name)
        if not source.is_in_database and one != other:
            raise ConfigError(
                f"target {left.name!r} reads source {source.name!r} from {one}, target "
                f"{right.name!r} from {other}, but a proof needs the same bytes: "
                f"{_advice(source, left, right)}."
            )


def at_hand(sources: Collection[Source], target: Target, copies: Path) -> Target:
    """Return a target, of no warehouse that is there, that has the files of sources on this
    machine: where they are, or below `copies` what was in a store. Raises what `find` raises.
    """

    def on_disk_of(some: Sequence[Source], folder: Location, name: str) -> Path:
        return on_disk(some, place_of(folder), place_of(copies / name))

    files = [source for source in sources if not source.is_in_database]
    own = {each.name: each for each in files if each.name in target.sources}
    rest = [each for each in files if each.name not in own]
    raw = on_disk_of(rest, target.raw, "raw") if rest and target.raw else target.raw
    moved = {
        name: on_disk_of([each], target.sources[name], f"source {number}")
        for number, (name, each) in enumerate(own.items())
    }
    nowhere = copies.with_name("nowhere")
    return target.model_copy(update={"raw": raw, "sources": moved, "warehouse": nowhere})


def by_folder(sources: Iterable[Source], target: Target) -> list[Sequence[Source]]:
    """Return the sources that are in the raw folder or in databases, and each other one."""
    shared: dict[str | None, list[Source]] = defaultdict(list)
    for source in sources:
        shared[source.name if source.name in target.sources else None].append(source)
    return [*shared.values()]


def _advice(source: Source, *targets: Target) -> str:
    """Return how to say where a source is: `--raw` moves none that has a place of its own."""
    is_own = any(source.name in each.sources for each in targets)
    return "say it in [sources]" if is_own else "give --raw DIR"
