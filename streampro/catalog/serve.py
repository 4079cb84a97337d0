"""The catalog on this machine, as a browser reads it over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_HOST, _PORT = "127.0.0.1", 8000


@contextmanager
def served(folder: Path) -> Iterator[ThreadingHTTPServer]:
    """Yield a server of the files of a folder to this machine alone, at port 8000 or, where that is
    taken, another one; `serve_forever` answers.
    """
    handler = partial(_Silent, directory=str(folder))
    with _server(handler) as server:
        yield server


def address(server: ThreadingHTTPServer) -> str:
    """Return where a browser finds what a server serves."""
    return f"http://{_HOST}:{server.server_port}/"


def _server(handler: Any) -> ThreadingHTTPServer:
    try:
        return ThreadingHTTPServer((_HOST, _PORT), handler)
    except OSError:
        return ThreadingHTTPServer((_HOST, 0), handler)


class _Silent(SimpleHTTPRequestHandler):
    """Tells nothing of what it is asked, and has a browser ask again each time."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_: Any) -> None: ...
