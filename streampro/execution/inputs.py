"""The raw files of a run: which are new since the last one, and their text."""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from itertools import islice

from streampro.config import Target
from streampro.engines.protocol import Engine, Raw
from streampro.errors import ConfigError, EngineError, SourceError, did_you_mean, number_of
from streampro.execution.progress import Watcher
from streampro.formats.database.extracts import Extracts
from streampro.formats.files import InputFile
from streampro.formats.registry import format_of
from streampro.location import Location, holds, relative_to
from streampro.modeling.model import Model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source
from streampro.storage.place.matching import fits, is_hidden
from streampro.warehouse.changes import Mode
from streampro.warehouse.run import Run

MOST_UNREAD = 10_000
_NAMED = 3
"""Unread files that are counted, and that are named."""
_SOON_S = 0.2
"""Within which a file that is being written is seen to change."""


def refuse_unknown_places(pipeline: Pipeline, target: Target, models: Sequence[Model]) -> None:
    """Raise `ConfigError` where a target places sources that there are not, or tells no raw folder
    of those that models read.
    """
    for name in target.sources:
        if name not in pipeline.sources:
            known = [*pipeline.sources]
            raise ConfigError(
                f"target {target.name!r} says where source {name!r} is, which pipeline "
                f"{pipeline.name!r} does not have. {did_you_mean(name, known)}"
                f"Sources: {', '.join(known)}."
            )
        if pipeline.sources[name].is_in_database:
            raise ConfigError(
                f"target {target.name!r} says in [sources] where source {name!r} is, which is in a "
                "database: [databases] says where that is."
            )
    read = [source for source in pipeline.read(models) if not source.is_in_database]
    if any(target.raw_of(source.name) is None for source in read):
        raise ConfigError("no raw folder: give --raw DIR or set `raw` in the target's file.")


@dataclass(frozen=True)
class Files:
    """The files of a source at hand, compared with those that the last run knew.

    Attributes:
        found: all that are there.
        new: those of them that are not in the ledger.
        known: how many are in the ledger.
        gone: paths of these that are there no more.
        changed: paths of these that are no more the same.
        gone_how: what became of those that are gone, in words.
        whose: whose they are, in words, where that is not told by their paths.
    """

    found: tuple[InputFile, ...]
    new: tuple[InputFile, ...]
    known: int
    gone: tuple[str, ...]
    changed: tuple[str, ...]
    gone_how: str = "vanished"
    whose: str = ""

    @property
    def lost(self) -> tuple[str, ...]:
        """What became of those that are gone or changed, in words."""
        return (
            *(f"{path}{self.whose} {self.gone_how}" for path in self.gone),
            *(f"{path}{self.whose} changed" for path in self.changed),
        )


class Inputs:
    """The files that the selected models read, compared with those that the last run knew."""

    def __init__(
        self,
        pipeline: Pipeline,
        engine: Engine,
        target: Target,
        extracts: Extracts,
        models: list[Model],
        last: Run | None,
        watcher: Watcher,
    ) -> None:
        self.pipeline = pipeline
        self.engine = engine
        self.target = target
        self.extracts = extracts
        self.models = models
        self.last = last
        self.watcher = watcher
        self.files = {
            name: self._compared(name)
            for name in dict.fromkeys(name for model in models for name in model.inputs)
            if name in pipeline.sources
        }
        self.changing: dict[str, set[str]] = {name: set() for name in self.files}
        self.raw: dict[tuple[str, Mode], Raw] = {}
        self.unread = self._unread()

    def leave_out(self, names: Collection[str]) -> None:
        """Let the files of what models read be known as they were before the run."""
        for name in {item for each in names for item in self.pipeline.models[each].inputs}:
            self.files.pop(name, None)

    def of(self, model: Model) -> list[Files]:
        """Return the files of the sources that a model reads."""
        return [self.files[name] for name in model.inputs if name in self.files]

    def counted(self, name: str, mode: Mode) -> Raw:
        """Return the text of a source, of its new files where the run is incremental, with the
        number of its lines; it is counted once.
        """
        if (name, mode) not in self.raw:
            files, wanted = self.files[name], self._wanted(name, mode)
            source = self.pipeline.sources[name]
            with self.watcher.step(f"count {name}", lambda: None):
                raw = self._read_again(source, wanted)
            is_empty = not (raw.lines or raw.holding) and wanted == files.found
            if is_empty and not format_of(source).may_be_empty:
                paths = ", ".join(file.path for file in wanted)
                raise SourceError(
                    f"{self._folder(source)}: the files of source {name!r} hold no line: {paths}. "
                    "Nothing was published."
                )
            self.raw[name, mode] = raw
        return self.raw[name, mode]

    def changed_meanwhile(self, model: Model, mode: Mode) -> bool:
        """Tell whether files that a model was computed from changed since they were found; then
        they are read anew, as they were when they were found.
        """
        names = [name for name in model.inputs if (name, mode) in self.raw]
        changed = [name for name in names if self._note_changes(name, self._wanted(name, mode))]
        for name in changed:
            del self.raw[name, mode]
        return bool(changed)

    @contextmanager
    def named_where_gone(self) -> Iterator[None]:
        """Raise an `EngineError` that names the file where an engine fails on one that was found
        and is there no more: each says it its own way, and in stores only it can look.
        """
        try:
            yield
        except (EngineError, SourceError) as error:
            for name, files in self.files.items():
                if gone := self._gone(name, files.found):
                    more = f" and {number_of(len(gone) - 1, 'other file')}" if gone[1:] else ""
                    raise EngineError(
                        f"source {name!r}: {gone[0]}{more} vanished while it was read. "
                        "Nothing was published; run again."
                    ) from error
            raise

    def ledger(self) -> tuple[InputFile, ...]:
        """Return every file that the tables are then built from."""
        kept = (
            file
            for file in (self.last.inputs if self.last else ())
            if file.source in self.pipeline.sources and file.source not in self.files
        )
        return (*kept, *(file for files in self.files.values() for file in files.found))

    def _gone(self, name: str, found: Sequence[InputFile]) -> list[str]:
        source = self.pipeline.sources[name]
        try:
            there = {file.path for file in self.engine.find(source, self._folder(source))}
        except SourceError:  # for none
            there = set()
        except EngineError:
            return []
        return [file.path for file in found if file.path not in there]

    def _folder(self, source: Source) -> Location:
        """Return where the files of a source are."""
        return self.extracts.location(source, self.target)

    def _wanted(self, name: str, mode: Mode) -> tuple[InputFile, ...]:
        files = self.files[name]
        return files.new if mode == "incremental" else files.found

    def _note_changes(self, name: str, wanted: Sequence[InputFile]) -> bool:
        """Remember which files changed since they were found; return whether one is new."""
        known = self.changing[name]
        new = self.engine.changed(self._folder(self.pipeline.sources[name]), wanted) - known
        known |= new
        return bool(new)

    def _read_again(self, source: Source, wanted: Sequence[InputFile]) -> Raw:
        """Return the text of files; again where they change while they are read, or soon after: the
        end of one that is being written may look as if it was damaged.
        """
        try:
            return self._read(source, wanted)
        except SourceError:
            if not self._note_changes(source.name, wanted):
                time.sleep(_SOON_S)
                if not self._note_changes(source.name, wanted):
                    raise
        return self._read_again(source, wanted)

    def _read(self, source: Source, wanted: Sequence[InputFile]) -> Raw:
        """Return the text of files, of those that change as it was when they were found."""
        folder = self._folder(source)
        self.extracts.provide(source, [file.path for file in wanted])
        self._note_changes(source.name, wanted)
        changing = [file for file in wanted if file.path in self.changing[source.name]]
        if not changing:
            return self.engine.read_raw(source, folder, wanted)
        frozen = self.engine.freeze(source, folder, changing)
        read = self.engine.read_raw(source, frozen)
        if not (still := [file for file in wanted if file not in changing]):
            return read
        rest = self.engine.read_raw(source, folder, still)
        return Raw(
            rest.table.union(read.table),
            {**rest.by_file, **read.by_file},
            rest.invalid_utf8 + read.invalid_utf8,
            None if read.holding is None else read.holding + (rest.holding or 0),
        )

    def _unread(self) -> tuple[str, ...]:
        """Return the files below the raw folder that nothing reads, by path: no source has them, or
        no model takes the one that does. A folder of a source of its own may hold what it likes.
        """
        folder, own = self.target.raw, self.target.sources
        taken = {name for model in self.pipeline.models.values() for name in model.inputs}
        idle = [name for name in self.pipeline.sources if name not in taken]
        for name in (name for name in own if name in idle):
            self.watcher.notice(f"no model takes source {name}, which is in {own[name]}")
        if folder is None:
            return ()
        read = {
            name: format_of(source).patterns(source)
            for name, source in self.pipeline.sources.items()
            if name in taken
        }
        patterns = [each for name in read.keys() - own.keys() for each in read[name]]
        inner = (relative_to(folder, other) for other in own.values())
        patterns += [f"{escape(path)}/**/*" for path in inner if path]
        beyond = [
            (relative_to(own[name], folder), each)
            for name in read.keys() & own.keys()
            if holds(own[name], folder)
            for each in read[name]
        ]
        unread = (
            path
            for path in self.engine.unread([*patterns, *self.pipeline.unread], folder)
            if not any(fits(f"{above}/{path}".lstrip("/"), each) for above, each in beyond)
        )
        found = tuple(sorted(islice(unread, MOST_UNREAD)))
        if found:
            self._tell_unread(found, idle)
        return found

    def _tell_unread(self, found: Sequence[str], idle: Sequence[str]) -> None:
        number = number_of(len(found), "file") if len(found) < MOST_UNREAD else "many files"
        more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        unused = f" (no model takes source {', '.join(idle)})" if idle else ""
        is_any_hidden = any(map(is_hidden, found))
        passed_over = " (names that begin with _ or . are passed over)" if is_any_hidden else ""
        self.watcher.notice(
            f"no source reads {number} below {self.target.raw}: {', '.join(found[:_NAMED])}{more}"
            f"{unused}{passed_over}"
        )

    def _compared(self, source: str) -> Files:
        self._refuse_half_of_the_readers(source)
        read = self.pipeline.sources[source]
        known = {
            file.path: file
            for file in (self.last.inputs if self.last else ())
            if file.source == source
        }
        self.extracts.look(read, known)
        found = self.engine.find(read, self._folder(read))
        at_hand = {file.path: file for file in found}
        return Files(
            found,
            tuple(file for file in found if file.path not in known),
            len(known),
            tuple(path for path in known if path not in at_hand),
            tuple(
                path
                for path, file in known.items()
                if path in at_hand and not file.is_still(at_hand[path])
            ),
            format_of(self.pipeline.sources[source]).gone,
            f" of {source}" if source in self.target.sources else "",
        )

    def _refuse_half_of_the_readers(self, source: str) -> None:
        """The ledger has one account of a source's files, so all that read it must do so."""
        readers = [model for model in self.pipeline.models.values() if source in model.inputs]
        if missing := [model.name for model in readers if model not in self.models]:
            raise ConfigError(
                f"source {source!r} is also read by {', '.join(missing)}, which must then be "
                "built too: add it to --select."
            )
