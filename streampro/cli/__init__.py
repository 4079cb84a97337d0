"""The command line. Each command parses, calls one library function and prints.

Rows and answers go to stdout, progress and messages to stderr. Exit codes: 0 fine, 1 the data is
wrong, 2 the call or the configuration is wrong, 3 the engine or the storage failed, 129, 130 and
143 stopped by SIGHUP, SIGINT and SIGTERM. All that takes time to import is imported where it is
used: so that `--help` is fast, and so that a signal is heard from the start.
"""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

if TYPE_CHECKING:
    from types import TracebackType

    from streampro.cli.commands import cli as cli
    from streampro.errors import StreamProError

_STOPS = {
    signal.SIGHUP: (129, "Hung up."),
    signal.SIGINT: (130, "Interrupted."),
    signal.SIGTERM: (143, "Terminated."),
}
_AGAIN_S = 0.1
"""Between two interruptions of what does not end."""
_stopped_by: list[signal.Signals] = []


def __getattr__(name: str) -> Any:
    if name != "cli":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from streampro.cli.commands import cli

    return cli


def main() -> NoReturn:
    """Run the command line and exit; the one place where errors become messages and codes."""
    _stopped_by.clear()
    sys.excepthook = _show_traceback
    try:
        for number in _STOPS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # of nohup
                signal.signal(number, _stop)
        _open_outputs()
        with _interrupts():
            code = _called()
    except BaseException:
        if not _stopped_by:
            raise
    _ignore_stops()
    gc.freeze()  # all of it goes now: to look through it for garbage once more takes 0.3 s
    if _stopped_by:
        code, said = _STOPS[_stopped_by[0]]
        sys.stderr.write(f"{said}\n")
    sys.exit(code)


def _called() -> int:
    """Call a command, and return the exit code."""
    import click

    from streampro.cli.commands import cli
    from streampro.errors import StreamProError, hidden, is_full, printable

    debug = "--debug" in sys.argv
    try:
        code = int(cli.main(prog_name="streampro", standalone_mode=False) or 0)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return 2
    except click.Abort:  # of a KeyboardInterrupt, which Spark makes of a signal
        _stopped_by.append(signal.SIGINT)
        return 3
    except StreamProError as error:
        if debug:
            raise
        if not _stopped_by:
            _tell(error)
        return error.exit_code
    except Exception as error:
        if _stopped_by:  # what a library made of it, such as a query of DuckDB
            return 3
        if debug:
            raise
        if is_full(error):
            click.echo("error: the output cannot be written: no space is left there.", err=True)
            return 3
        told = printable(hidden(f"error: {type(error).__name__}: {error}"))
        click.echo(f"{told}\nMore with --debug.", err=True)
        return 3
    return code


def _tell(error: "StreamProError") -> None:
    """Print an error on stderr, the rows that it is about as a table."""
    from streampro.console.tables import say, show_table
    from streampro.errors import ContractError, IncompleteRunError, hidden

    if isinstance(error, IncompleteRunError):
        say(f"error: {hidden(error.message)}", err=True)
        for each in error.errors.values():
            _tell(each)
        return
    if not isinstance(error, ContractError):
        say(f"error: {error}", err=True)
        return
    say(f"error: {hidden(error.message)}\n", err=True)
    show_table("", error.rows, err=True)


def _show_traceback(
    kind: type[BaseException], error: BaseException, trace: "TracebackType | None"
) -> None:
    from traceback import format_exception

    from streampro.errors import hidden

    sys.stderr.write(hidden("".join(format_exception(kind, error, trace))))


def _stop(number: int, _: object) -> NoReturn:
    """Let the command clean up and end; whatever else is raised on the way is not told."""
    _ignore_stops()
    _stopped_by.append(signal.Signals(number))
    sys.unraisablehook = lambda _: None
    raise SystemExit(_STOPS[_stopped_by[0]][0])  # click tells of a KeyboardInterrupt its own way


@contextmanager
def _interrupts() -> Iterator[None]:
    """Break off what is computed outside of Python as soon as a signal comes: it may hear none for
    hours, and `_stop` is only called between two steps of Python.

    All is imported before: a signal may end an import so that Python never lets go of its lock, and
    another thread that imports then would wait for ever.
    """
    from select import select
    from threading import Thread

    from streampro.environment import interrupt

    heard, told = os.pipe()
    os.set_blocking(told, False)

    def break_off() -> None:
        """Interrupt from the first of `_STOPS` on until nothing is heard any more: again and again,
        as a query that is just beginning is not broken off.
        """
        wait = None
        while not select([heard], [], [], wait)[0] or (number := os.read(heard, 1)):
            if wait or signal.Signals(number[0]) in _STOPS:
                wait = _AGAIN_S
                interrupt()

    thread = Thread(target=break_off, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(told)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(told)
        thread.join()
        os.close(heard)


def _ignore_stops() -> None:
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)


def _open_outputs() -> None:
    """Let output go nowhere where it is closed, and lose letters that it does not have.

    A file that is opened later would otherwise get the number of a closed output, and what is
    printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    sys.stdout = _spoken(1, sys.stdout, _Unread(1, "w", closefd=False), "replace")
    sys.stderr = _spoken(2, sys.stderr, _Unheard(2, "w", closefd=False), "backslashreplace")


def _spoken(number: int, stream: TextIO | None, raw: FileIO, errors: str) -> TextIO:
    """Return an output like a stream of Python's that is not replaced by somebody else's."""
    if stream is not None:
        try:
            stream.flush()
            is_ours = stream.fileno() == number
        except OSError:
            is_ours = False
        if not is_ours:
            return stream
    encoding = getattr(stream, "encoding", "utf-8")
    is_by_line = number == 2 or raw.isatty()
    return TextIOWrapper(BufferedWriter(raw), encoding, errors=errors, line_buffering=is_by_line)


class _Unread(FileIO):
    """An output whose reader may go away when it has read enough, such as `head`. After a write
    that failed nothing more is tried.
    """

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if isinstance(error, BrokenPipeError):
                return len(data)
            raise


class _Unheard(FileIO):
    """An output that may go away while we speak."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)
