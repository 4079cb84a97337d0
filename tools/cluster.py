"""A standalone Spark cluster on this machine: a master and two workers, for tests and trials.

    python tools/cluster.py up         starts it and prints the master's address
    python tools/cluster.py lose       kills a worker and all it runs, as a lost machine would
    python tools/cluster.py down       stops it

Process ids and logs are kept in the folder of `--state`.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyspark

from streampro.engines.spark.application import find_java

HOST = "127.0.0.1"
WORKERS = ("worker-1", "worker-2")
PATIENCE_S = 60
_SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
_DEPLOY = "org.apache.spark.deploy"


def up(state: Path, port: int) -> str:
    """Start the cluster and return its address. Raises `RuntimeError` when it does not come up."""
    find_java()
    state.mkdir(parents=True, exist_ok=True)
    master = f"spark://{HOST}:{port}"
    _start(state, "master", "master.Master", "--host", HOST, "--port", str(port))
    _wait_for(state, "master", f"Starting Spark master at {master}")
    for name in WORKERS:
        place = ("--host", HOST, "--work-dir", str(state / name))
        _start(state, name, "worker.Worker", *place, "--cores", "1", "--memory", "1g", master)
    for name in WORKERS:
        _wait_for(state, name, "Successfully registered with master")
    return master


def lose(state: Path, name: str = WORKERS[-1]) -> None:
    """Kill a worker and its executors."""
    file = state / f"{name}.pid"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(int(file.read_text()), signal.SIGKILL)
    file.unlink()


def down(state: Path) -> None:
    """Stop what is still running and remove the folder."""
    for file in state.glob("*.pid"):
        lose(state, file.stem)
    shutil.rmtree(state, ignore_errors=True)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def _start(state: Path, name: str, role: str, *options: str) -> None:
    ports = ("--webui-port", "0")
    environment = os.environ | {"SPARK_LOCAL_IP": HOST, "PYSPARK_PYTHON": sys.executable}
    with (state / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(_SPARK_CLASS), f"{_DEPLOY}.{role}", *ports, *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    (state / f"{name}.pid").write_text(str(process.pid))


def _wait_for(state: Path, name: str, words: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if words in (state / f"{name}.log").read_text():
            return
        time.sleep(0.2)
    raise RuntimeError(f"{name} did not start, see {state / name}.log")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("up", "lose", "down"))
    parser.add_argument("--state", type=Path, default=Path(".cluster"))
    parser.add_argument("--port", type=int, default=7077, help="0: any that is free")
    given = parser.parse_args()
    if given.what == "up":
        print(up(given.state, given.port or free_port()))
    else:
        {"lose": lose, "down": down}[given.what](given.state)


if __name__ == "__main__":
    main()
