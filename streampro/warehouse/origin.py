"""Where the code of a run is from: commit, what is not committed, and what is installed."""

import hashlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from streampro.modeling.pipeline import Pipeline
from streampro.warehouse.run import Origin

_CODE = ("*.py", "*.sql", "*.toml", "*.lock")
"""Of what it is told whether it is committed."""
_PACKAGE = Path(__file__).parents[1]
_TIMEOUT_S = 10


def origin_of(pipeline: Pipeline) -> Origin:
    """Return where the code of a pipeline is from, by the repository of its first model; without
    one, or without git, there is no commit.
    """
    folder = next(_folders(pipeline), Path())
    found = _git(folder, "rev-parse", "HEAD", "--show-toplevel")
    commit, top = found.split("\n", 1) if found else (None, None)
    return Origin(commit, _changes(Path(top)) if top else None, _lock())


def _folders(pipeline: Pipeline) -> Iterator[Path]:
    """Yield where models are written, but for those whose text is in a file of its own."""
    for model in pipeline.models.values():
        file = Path(inspect.getfile(model.transform))
        if not file.is_relative_to(_PACKAGE / "modeling"):
            yield file.parent


def _changes(top: Path) -> str | None:
    """Return a digest of what is not committed of code, None where all is: the text may have
    secrets in it, and the ledger is read by others.
    """
    changed = _git(top, "diff", "HEAD", "--", *_CODE) or ""
    others = _git(top, "ls-files", "--others", "--exclude-standard", "--", *_CODE) or ""
    texts = [(top / name).read_bytes() for name in others.splitlines() if (top / name).is_file()]
    if not changed and not others:
        return None
    return hashlib.sha256(b"\0".join([changed.encode(), others.encode(), *texts])).hexdigest()[:16]


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says, None where it says nothing or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _lock() -> str:
    """Return a digest of the names and versions of all that is installed, which name its folders:
    to read what is in them takes a tenth of a second.
    """
    found = (Path(each).glob("*.dist-info") for each in sys.path)
    installed = sorted({folder.stem for each in found for folder in each})
    return hashlib.sha256("\n".join(installed).encode()).hexdigest()[:16]
