"""What a person sees: tables on stdout, progress on stderr.

`streampro.console.ProgressBars()` can be given to `streampro.run(watcher=...)`. It is imported on
first use, because it draws with Rich, and `--help` must not wait for that.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streampro.console.progress import ProgressBars as ProgressBars


def __getattr__(name: str) -> Any:
    if name != "ProgressBars":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from streampro.console.progress import ProgressBars

    return ProgressBars
