"""Everything StreamPro raises on purpose.

```
StreamProError
├── ConfigError        the call or the configuration is wrong            exit code 2
├── PipelineError      the pipeline's definition is wrong                exit code 2
├── DataError          the data is wrong                                 exit code 1
│   ├── SourceError    a raw file is missing, unreadable or incomplete
│   ├── ComputationError  a value stops a computation, such as a sum beyond 64 bits
│   ├── ContractError  staged rows break a rule of their contract
│   ├── BooksError     lines do not equal accepted + duplicates + rejected
│   ├── ParityError    two engines computed different rows
│   └── IncrementalError  incremental runs computed other rows than a full run
└── EngineError        the engine or the storage failed                  exit code 3
    ├── ExportError    a run is published, but not all that it exports is written
    └── WarehouseError the warehouse is busy, foreign, damaged or read-only
```

```python
try:
    streampro.run(pipeline, target)
except streampro.DataError as error:      # nothing was published
    notify(error)
```
"""

import difflib
import errno
import inspect
import json
import re
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any
from urllib.parse import quote

CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Signs that move or recolour what a terminal or a page shows, or turn its direction; and bytes of
a name that is not UTF-8."""
_BREAKS = str.maketrans({sign: ascii(sign)[1:-1] for sign in "\t\n\u2028\u2029"})
"""Signs that move or break a line, and are no `CONTROLS`."""
_PACKAGE = str(Path(__file__).parent)
_SHORTEST = 4
"""Letters below which a value is no secret, but would be found in every message."""
_DECIMAL = re.compile(r"decimal\((\d+), (\d+)\)")
_OBJECT = re.compile(r"<[\w.]+\.(\w+) object at 0x[0-9a-f]+>")
_OF_ANOTHER_TABLE = (
    "Take columns and counts from the very table that they are used on: "
    "`kept = t.filter(...)`, then `kept.group_by(...).aggregate(n=kept.count())`."
)
_hidden: dict[str, str] = {}
"""What stands in messages for a text that none may show."""


class StreamProError(Exception):
    """Base of all StreamPro errors; `exit_code` is what the command line returns."""

    exit_code = 3
    may_quote = False
    """Whether values of the data may stand behind the first colon of the message."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*(hidden(each) if isinstance(each, str) else each for each in args))


class ConfigError(StreamProError):
    """The call or the configuration is wrong."""

    exit_code = 2


class PipelineError(StreamProError):
    """The definition of a pipeline is wrong; `place` is the file and line, where they are known."""

    exit_code = 2

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.message, self.place = message, place


class DataError(StreamProError):
    """The data is wrong; nothing was published."""

    exit_code = 1


class SourceError(DataError):
    """A raw file is missing, unreadable or lacks a column."""

    may_quote = True


class ComputationError(DataError):
    """A value stops the computation of a model or a rule, such as a sum beyond 64 bits."""

    may_quote = True


class ContractError(DataError):
    """Rows break a rule of their contract; `rows` are the first of them."""

    def __init__(self, message: str, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message + "".join(f"\n  {row}" for row in rows))
        self.message, self.rows = message, rows


class BooksError(DataError):
    """Lines do not equal accepted + duplicates + rejected."""


class IncompleteRunError(DataError):
    """A run that keeps going is published, it is `run`, but without the models that failed, whose
    errors are `errors` by table, and those that follow from them, which are `left_out`.
    """

    def __init__(
        self, message: str, run: Any, errors: Mapping[Any, StreamProError], left_out: Sequence[str]
    ) -> None:
        super().__init__("\n".join((message, *map(str, errors.values()))))
        self.message, self.run, self.errors, self.left_out = message, run, errors, left_out


class ParityError(DataError):
    """Two engines computed different rows; `certificate` tells what both computed."""

    def __init__(self, message: str, certificate: Any) -> None:
        super().__init__(message)
        self.certificate = certificate


class IncrementalError(DataError):
    """Incremental runs computed other rows than a full run."""


class EngineError(StreamProError):
    """The engine or the storage failed."""

    may_quote = True


class ExportError(EngineError):
    """A run is published, it is `run`, but not all that it exports could be written; the next run
    tries the rest again.
    """

    def __init__(self, message: str, run: Any) -> None:
        super().__init__(message)
        self.run = run


class WarehouseError(EngineError):
    """The warehouse is busy, foreign, damaged or read-only."""


class OvertakenError(WarehouseError):
    """Another writer published first; nothing of this one is published."""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `"Did you mean 'x'? "` for the known word closest to `word`, or an empty text."""
    same = [each for each in known if each.casefold() == word.casefold()]
    close = same or difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {close[0]!r}? " if close else ""


def number_of(number: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{number} {what}" + ("" if number == 1 else "s")


def hide(value: str, name: str) -> None:
    """Let no message show a value of four letters or more, in whatever spelling; `name` stands for
    it.
    """
    one_line = " ".join(value.split())
    quoted = (repr(value)[1:-1], json.dumps(value)[1:-1], quote(value), quote(value, safe=""))
    for each in (value, one_line, *value.splitlines(), *quoted):
        if len(each) >= _SHORTEST:
            _hidden[each] = name


def hidden(text: str) -> str:
    """Return a text without the values that `hide` was told."""
    for value in sorted(_hidden, key=len, reverse=True):
        text = text.replace(value, _hidden[value])
    return text


def printable(text: str) -> str:
    """Return a text in which `CONTROLS` (tab and LF are none) are written as escapes."""
    return CONTROLS.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """Return a text in which all is written as escapes that would move what stands around it."""
    return printable(text).translate(_BREAKS)


def is_full(error: Exception) -> bool:
    """Tell whether a disk had no room."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writes(what: object) -> Iterator[None]:
    """Raise a `ConfigError` for a place named by the caller that cannot be written, an
    `EngineError` where the disk is full.
    """
    try:
        yield
    except OSError as error:
        kind = EngineError if is_full(error) else ConfigError
        raise kind(f"{what} cannot be written: {error.strerror or error}.") from error


@contextmanager
def advised(advice: str) -> Iterator[None]:
    """Raise a `WarehouseError` with what to do about it."""
    try:
        yield
    except WarehouseError as error:
        raise WarehouseError(f"{error} {advice}") from error


@contextmanager
def blamed(what: str, code: Any = None) -> Iterator[None]:
    """Raise what a user's code raises as a `PipelineError` that tells `what` failed, and where.

    The place is the innermost line at work that belongs to no library; without one it is where
    `code`, a function or a class, is written. Other errors of StreamPro pass as they are, and so
    does an interrupt; panics of native libraries, a task that is cancelled and a test that is
    skipped are errors of the code.
    """
    try:
        yield
    except PipelineError as error:
        place = error.place or _place_in(error, code) or place_of(code)
        said = f"{what}: {error.message}" if what else error.message
        raise PipelineError(said, place) from (error.__cause__ or error)
    except (StreamProError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # `sys.exit(0)` would end a run as if it were done
        place = _place_in(error, code) or place_of(code)
        said = f"{what}: {_said(error)}" if what else _said(error)
        raise PipelineError(said, place) from error


def place_of(code: Any) -> str:
    """Return the file and line in which a function or class is written, "" where there is none;
    what is made of something else says where that is by `__place__`.
    """
    if place := getattr(code, "__place__", ""):
        return str(place)
    code = inspect.unwrap(code) if callable(code) else code
    if hasattr(code, "__code__"):
        return shown_place(code.__code__.co_filename, code.__code__.co_firstlineno)
    try:
        return shown_place(inspect.getfile(code), inspect.getsourcelines(code)[1])
    except (OSError, TypeError):
        return ""


def _said(error: BaseException) -> str:
    """Return an error in one line, with a hint for a name that an object does not have."""
    text = _OBJECT.sub(r"\1", " ".join(str(error).split()))
    said = f"{type(error).__name__}: {text}".removesuffix(": ")
    if isinstance(error, AttributeError) and error.name:
        return f"{said}. {did_you_mean(error.name, dir(error.obj))}".removesuffix(". ").rstrip()
    if type(error).__name__ == "IntegrityError":  # of Ibis
        return f"{said}. {_OF_ANOTHER_TABLE}"
    sizes = [(int(p), int(s)) for p, s in _DECIMAL.findall(text)]
    if type(error).__name__ == "IbisTypeError" and len(sizes) == 2:
        scale = max(each for _, each in sizes)
        whole = max(precision - each for precision, each in sizes)
        return f"{said}. Cast one of them, such as .cast('decimal({whole + scale}, {scale})')."
    return said


def _place_in(error: BaseException, code: Any) -> str:
    """Return the innermost place of a traceback that is in the file of `code` or in no library."""
    if isinstance(error, SyntaxError) and error.filename:
        return shown_place(error.filename, error.lineno or 1)
    own = getattr(getattr(code, "__code__", None), "co_filename", None)
    lines = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    places = [each for each in lines if each[0] == own or not _is_library(each[0])]
    return shown_place(*places[-1]) if places else ""


def _is_library(file: str) -> bool:
    libraries = (_PACKAGE, sysconfig.get_paths()["stdlib"])
    is_installed = {"site-packages", "dist-packages"} & {*Path(file).parts}
    is_compiled = Path(file).suffix in (".pxi", ".pyx")
    return bool(is_installed) or is_compiled or file.startswith((*libraries, "<frozen", "<string"))


def shown_place(file: str, line: int | None = None) -> str:
    """Return a file of code, and a line of it, as messages tell them."""
    path, here = Path(file).resolve(), Path.cwd()
    shown = (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()
    return shown if line is None else f"{shown}:{line}"
