"""Servers of their own that tests start: real ones, in a temporary folder, on a free port."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import obstore.store
import pymysql

from streampro.location import Remote

PATIENCE_S = 300
"""For what a machine that has other work may need."""


def wait_until(happened: Callable[[], Any], process: subprocess.Popen[Any]) -> None:
    """Wait until something has happened, while a process works."""
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert process.poll() is None, "the process ended before"
        assert time.monotonic() < end, "too long"
        time.sleep(0.02)


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL with one superuser, whose password stands in the environment as
    `STREAMPRO_TEST_PASSWORD`.
    """

    port: int
    password: str

    @property
    def url(self) -> str:
        """How pipelines name it, without the password."""
        return f"postgresql://streampro:${{STREAMPRO_TEST_PASSWORD}}@127.0.0.1:{self.port}/postgres"

    @property
    def dsn(self) -> str:
        """How a test connects to it."""
        return (
            f"host=127.0.0.1 port={self.port} user=streampro password='{self.password}' "
            "dbname=postgres"
        )


@contextmanager
def postgres(password: str = "pass word/@:%1") -> Iterator[Postgres]:
    """Start a server that trusts nobody without the password, and remove it in the end."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    secret, data, port = folder / "password", folder / "data", free_port()
    secret.write_text(password)
    if os.getuid() == 0:  # initdb refuses root
        for each in (folder, secret):
            shutil.chown(each, "postgres", "postgres")
    control = [*_as_its_user(), _program("pg_ctl"), "-D", str(data), "-s", "-w"]
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    )
    try:
        _run(
            [
                *(*_as_its_user(), _program("initdb"), "-D", str(data), "--no-sync"),
                *("-U", "streampro", "-A", "scram-sha-256", f"--pwfile={secret}"),
                *("-E", "UTF8", "--locale=C"),
            ]
        )
        _run([*control, "-l", str(folder / "log"), "-o", options, "start"])
        try:
            yield Postgres(port, password)
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True)
class MariaDB:
    """A running MariaDB with one user who may do all, whose password stands in the environment as
    `STREAMPRO_TEST_PASSWORD`.
    """

    port: int
    password: str

    @property
    def url(self) -> str:
        """How targets name it, without the password."""
        return f"mysql://streampro:${{STREAMPRO_TEST_PASSWORD}}@127.0.0.1:{self.port}/shop"

    def connect(self) -> Any:
        """Connect as a test does; without `shop`, while there is none."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="streampro",
            password=self.password,
            database="shop",
            charset="utf8mb4",
            autocommit=True,
        )


@contextmanager
def mariadb(password: str = "pass word/@:%1") -> Iterator[MariaDB]:
    """Start a server that trusts nobody without the password, and remove it in the end."""
    folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
    data, users, port = folder / "data", folder / "users.sql", free_port()
    users.write_text(
        "CREATE DATABASE shop;\n"  # a statement ends with its line
        f"GRANT ALL ON *.* TO streampro@'127.0.0.1' "
        f"IDENTIFIED BY '{password}' WITH GRANT OPTION;"
    )
    options = [f"--datadir={data}"]
    if os.getuid() == 0:  # the server refuses root
        options.append("--user=mysql")
        shutil.chown(folder, "mysql", "mysql")
        users.chmod(0o644)
    install = shutil.which("mariadb-install-db")
    server = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert install, "MariaDB is not installed: run `make mariadb`"
    assert server, "MariaDB is not installed: run `make mariadb`"
    try:
        _run([install, "--no-defaults", *options, "--skip-test-db", "--skip-name-resolve"])
        process = subprocess.Popen(
            [
                *(server, "--no-defaults", *options, f"--port={port}", "--bind-address=127.0.0.1"),
                *(f"--socket={folder}/s", f"--pid-file={folder}/pid", f"--init-file={users}"),
                *("--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"),
            ],
            cwd="/",
            stderr=subprocess.DEVNULL,
        )
        try:
            found = MariaDB(port, password)
            wait_until(lambda: _answers(found), process)
            yield found
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder)


def _answers(server: MariaDB) -> bool:
    try:
        server.connect().close()
    except pymysql.Error:
        return False
    return True


def free_port() -> int:
    """Return a port of this machine that nobody listens to."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _program(name: str) -> str:
    """Return where a program of the newest PostgreSQL is, which Debian keeps off the path."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(places[-1]) if places else shutil.which(name)
    assert found, "PostgreSQL is not installed: run `make postgres`"
    return found


def _as_its_user() -> list[str]:
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert not done.returncode, done.stdout + done.stderr


@dataclass
class Lake:
    """A bucket in a store that speaks S3's protocol; `url` is its address for targets."""

    endpoint: str
    url: str

    @property
    def store(self) -> Any:
        return obstore.store.from_url(self.url)

    def put(self, folder: Path, below: str) -> Remote:
        """Copy a folder of a disk into the bucket, and return where it is now."""
        for path in folder.rglob("*"):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                obstore.put(self.store, f"{below}/{name}", path.read_bytes())
        return Remote(f"{self.url}/{below}")

    def take(self, below: str, folder: Path) -> None:
        """Copy what the bucket has below a name into a folder of a disk."""
        for page in obstore.list(self.store, prefix=f"{below}/"):
            for each in page:
                path = folder / each["path"].removeprefix(f"{below}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(obstore.get(self.store, each["path"]).bytes())

    def spoil(self, kind: str, times: int, match: str = ".") -> None:
        """Let the next requests of a kind fail; see `faulty_store`."""
        asked = urlencode({"kind": kind, "times": times, "match": match})
        urlopen(Request(f"{self.endpoint}/-/faults?{asked}", method="PUT")).close()

    def requests(self) -> list[str]:
        """Return what was asked of the store since the last time."""
        with urlopen(f"{self.endpoint}/-/requests") as told:
            return [line for line in told.read().decode().splitlines() if line]
