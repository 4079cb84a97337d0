"""Everything StreamPro raises on purpose.

```
StreamProError
├── ConfigError        the call or the configuration is wrong            exit code 2
├── PipelineError      the pipeline's definition is wrong                exit code 2
├── DataError          the data is wrong                                 exit code 1
│   ├── SourceError    a raw file is missing, unreadable or incomplete
│   ├── ContractError  staged rows break a rule of their contract
│   ├── BooksError     lines do not equal accepted + duplicates + rejected
│   ├── ParityError    two engines computed different rows
│   └── IncrementalError  incremental runs computed other rows than a full run
└── EngineError        the engine or the storage failed                  exit code 3
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
from collections.abc import Sequence
from typing import Any


class StreamProError(Exception):
    """Base of all StreamPro errors; `exit_code` is what the command line returns."""

    exit_code = 3


class ConfigError(StreamProError):
    """The call or the configuration is wrong."""

    exit_code = 2


class PipelineError(StreamProError):
    """The definition of a pipeline is wrong."""

    exit_code = 2


class DataError(StreamProError):
    """The data is wrong; nothing was published."""

    exit_code = 1


class SourceError(DataError):
    """A raw file is missing, unreadable or lacks a column."""


class ContractError(DataError):
    """Staged rows break a rule of their contract."""


class BooksError(DataError):
    """Lines do not equal accepted + duplicates + rejected."""


class ParityError(DataError):
    """Two engines computed different rows; `certificate` tells what both computed."""

    def __init__(self, message: str, certificate: Any) -> None:
        super().__init__(message)
        self.certificate = certificate


class IncrementalError(DataError):
    """Incremental runs computed other rows than a full run."""


class EngineError(StreamProError):
    """The engine or the storage failed."""


class WarehouseError(EngineError):
    """The warehouse is busy, foreign, damaged or read-only."""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `"Did you mean 'x'? "` for the known word closest to `word`, or an empty text."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {close[0]!r}? " if close else ""


def number_of(number: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{number} {what}" + ("" if number == 1 else "s")
