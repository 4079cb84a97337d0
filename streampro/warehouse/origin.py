"""Where the code of a run is from: commit, what is not committed, and what is installed."""

import hashlib
import inspect
import subprocess
from importlib.metadata import distributions
from pathlib import Path

from streampro.modeling.pipeline import Pipeline
from streampro.warehouse.run import Origin

_CODE = ("*.py", "*.sql", "*.toml", "*.lock")
"""Of what the changes are kept that are not committed."""
_MOST_LETTERS = 100_000
"""Of changes that are kept as they are; of others their digest is."""
_TIMEOUT_S = 10


def origin_of(pipeline: Pipeline) -> Origin:
    """Return where the code of a pipeline is from, by the repository of its first model; without
    one, or without git, there is no commit.
    """
    first = next(iter(pipeline.models.values()))
    folder = Path(inspect.getfile(first.transform)).parent
    commit = _git(folder, "rev-parse", "HEAD")
    top = _git(folder, "rev-parse", "--show-toplevel") if commit else None
    changes = _git(Path(top), "diff", "HEAD", "--", *_CODE) if top else None
    if changes and len(changes) > _MOST_LETTERS:
        changes = f"SHA-256 {hashlib.sha256(changes.encode()).hexdigest()}"
    return Origin(commit, changes or None, _lock())


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
    """Return a digest of the names and versions of all that is installed."""
    installed = sorted(f"{each.name}=={each.version}" for each in distributions())
    return hashlib.sha256("\n".join(installed).encode()).hexdigest()[:16]
