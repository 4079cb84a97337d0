"""The command `streampro` of a process that has imported it already, for tests that call it often.

`warm_streampro.py SOCKET fork` answers each call in a fork of its own, as a new process would.
`warm_streampro.py SOCKET stay` answers all calls itself, in one Spark session. `COMMAND` is the
`streampro` that a test puts first on the PATH; it hands its arguments, environment and outputs on.
Called as `python-script`, it hands on a script that it reads from its input.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

COMMAND = """#!{python} -SE
import json, os, socket, sys

script = sys.stdin.read() if sys.argv[0].endswith("python-script") else None
words = {{*sys.argv[1:], os.environ.get("STREAMPRO_TARGET"), *(script or "").split('"')}}
on_spark = "spark-local" in words or ("prove" in words and "local" not in words)
kind = "stay" if on_spark else "fork"
call = {{"argv": sys.argv[1:], "script": script}}
call |= {{"folder": os.getcwd(), "environment": dict(os.environ)}}
with socket.socket(socket.AF_UNIX) as server:
    server.connect(f"{folder}/{{kind}}")
    socket.send_fds(server, [b"."], [1, 2])
    server.sendall(json.dumps(call).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(9)))
"""


class Commands:
    """A folder with a `streampro` that waits for no import, and for Spark but once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: dict[str, subprocess.Popen[bytes]] = {}
        command = folder / "streampro"
        command.write_text(COMMAND.format(python=sys.executable, folder=folder))
        command.chmod(0o755)
        (folder / "python-script").symlink_to(command)

    def start(self, *kinds: str) -> None:
        """Start what answers, by `fork` or by one that will `stay`, unless it is there."""
        here = Path(__file__)
        for kind in {*kinds} - {*self.servers}:
            self.servers[kind] = subprocess.Popen(
                [sys.executable, here, self.folder / kind, kind],
                env=os.environ | {"PYTHONPATH": str(here.parents[1])},
            )
        for kind in kinds:
            while not (self.folder / kind).exists():
                assert self.servers[kind].poll() is None
                time.sleep(0.05)

    def close(self) -> None:
        for server in self.servers.values():
            server.terminate()
            server.wait(timeout=60)


def serve(path: Path, *, forks: bool) -> None:
    """Answer calls until the process that started this one goes away."""

    import streampro.cli
    import streampro.execution.runner
    import streampro.lineage.explain
    import streampro.report  # noqa: F401  (what most commands import)
    from streampro.engines.checked import refuse_problems
    from streampro.viewing import PIPELINE

    refuse_problems(PIPELINE)
    if not forks:
        from streampro.config import SparkSettings
        from streampro.engines.spark.application import ApplicationSession

        session = ApplicationSession(SparkSettings(master="local[2]"))
        assert session.is_ours
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        while True:
            client, _ = server.accept()
            with client:
                client.sendall(str(answered(client, forks=forks)).encode())


def answered(client: socket.socket, *, forks: bool) -> int:
    """Do what a client asks for, and return the exit code."""
    _, outputs, _, _ = socket.recv_fds(client, 1, 2)
    text = b"".join(iter(lambda: client.recv(65536), b""))
    try:
        if not forks:
            return called(json.loads(text), outputs)
        if child := os.fork():
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(called(json.loads(text), outputs))
    finally:
        for output in outputs:
            os.close(output)


def called(call: dict[str, Any], outputs: list[int]) -> int:
    """Run the command line as a new process would see it; afterwards all is as it was."""
    from streampro.cli import main

    known, path, environment = {*sys.modules}, [*sys.path], dict(os.environ)
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    own = [os.dup(number) for number in (1, 2)]
    try:
        replace_outputs(outputs)
        os.chdir(call["folder"])
        os.environ.clear()
        os.environ.update(call["environment"])
        sys.argv = ["streampro", *call["argv"]]
        try:
            main() if call["script"] is None else execute(call["script"])
        except SystemExit as end:
            return int(end.code or 0)
        return 0
    finally:
        replace_outputs(own)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = path
        for name in {*sys.modules} - known:
            if is_of(sys.modules[name], call["folder"]):
                del sys.modules[name]


def execute(script: str) -> None:
    """Run a script as `python -` does; raises `SystemExit` where an error ends it."""
    sys.path.insert(0, "")
    try:
        exec(compile(script, "<stdin>", "exec"), {"__name__": "__main__"})
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def replace_outputs(outputs: list[int]) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for number, output in zip((1, 2), outputs, strict=True):
        os.dup2(output, number)


def is_of(module: ModuleType, folder: str) -> bool:
    """Whether a module was imported from a folder."""
    return str(getattr(module, "__file__", None) or "").startswith(folder)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), forks=sys.argv[2] == "fork")
