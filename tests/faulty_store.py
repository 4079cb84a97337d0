"""A server that speaks S3's protocol, with faults when it is told: `faulty_store.py PORT`.

`PUT /-/faults?kind=KIND&times=N&match=PATTERN` spoils the next N requests whose method and path
match: `busy` answers 503 and does nothing, `cut` closes the connection and does nothing, `unheard`
does what is asked and closes the connection, `slow` waits, `denied` answers 403. `GET /-/requests`
returns what was asked since it was asked last, a line per request.
"""

import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple


class FaultyStore:
    def __init__(self) -> None:
        self.store = create_backend_app("s3")
        self.lock = threading.Lock()
        self.kind, self.times, self.match = "", 0, ""
        self.requests: list[str] = []

    def __call__(self, asked: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        query = parse_qs(asked["QUERY_STRING"])
        if asked["PATH_INFO"] == "/-/faults":
            self.kind, self.times = query["kind"][0], int(query["times"][0])
            self.match = query["match"][0]
            return answer(start, "200 OK", "")
        if asked["PATH_INFO"] == "/-/requests":
            told, self.requests = "\n".join(self.requests), []
            return answer(start, "200 OK", told)
        line = f"{asked['REQUEST_METHOD']} {asked['PATH_INFO']}?{asked['QUERY_STRING']}"
        self.requests.append(line)
        fault = self.fault(line)
        if fault == "busy":
            asked["wsgi.input"].read(int(asked.get("CONTENT_LENGTH") or 0))
            return answer(start, "503 Slow Down", "")
        if fault == "denied":
            told = (
                f"<?xml?><Error><Code>AccessDenied</Code><Message>No.</Message>{'x' * 300}</Error>"
            )
            return answer(start, "403 Forbidden", told)
        if fault == "slow":
            time.sleep(1)
        if fault != "cut":
            done = list(self.store(asked, start))
        if fault in ("cut", "unheard"):
            asked["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        return done

    def fault(self, line: str) -> str:
        with self.lock:
            if not self.times or not re.search(self.match, line):
                return ""
            self.times -= 1
            return self.kind


def answer(start: Callable[..., Any], status: str, text: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/plain")])
    return [text.encode()]


class Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), FaultyStore(), threaded=True, request_handler=Silent)
