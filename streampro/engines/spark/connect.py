"""Sessions of a Spark elsewhere, reached by Spark Connect: there is no Java here to ask."""

import copy
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from streampro.config import SparkSettings
from streampro.engines.spark import functions
from streampro.engines.spark.files import SharedDisks, SparkPlace, escaped
from streampro.engines.spark.session import (
    Session,
    changes_no_row,
    refuse_without_delta,
    shipped,
    silence,
)
from streampro.errors import ConfigError, EngineError

_MODULE = "pyspark.sql.connect.session"
_PATIENCE_S = 10
"""For a server to answer at first."""
_CALL_AGAIN = {"max_retries": 6, "max_backoff": 15_000}
"""While a server is out of reach: half a minute; PySpark itself calls for ten."""
_ENDING_S = 10
"""For queries that are interrupted to end, so that they write no more."""


class ConnectSession(Session):
    """A new session on the server of a target, or on that of the caller's session."""

    catalog_stays = True

    def __init__(self, settings: SparkSettings, caller: Any = None) -> None:
        _refuse_without_client()
        self.shares: dict[str | None, tuple[int, int]] = {}
        self.spark = _session(settings, caller or (None if settings.remote else _active()))
        try:
            if caller is None and settings.remote:
                self._take(settings.settings)
            conf = self.spark.conf.getAll
            self._set_as_ours()
            silence()
            refuse_without_delta(conf, has_no_jar=False, advice=": this is its server's to know")
            self.spark.addArtifacts(shipped(), pyfile=True)
            functions.register(self.spark)
            self.spark.registerProgressHandler(self._hear)
        except BaseException:
            self.close()
            raise

    @property
    def versions(self) -> Mapping[str, str]:
        """See `Session.versions`."""
        known = {"spark": self.spark.version}
        with suppress(Exception):  # a platform may forbid to call Java
            asked = self.spark.sql("SELECT java_method('io.delta.package', 'VERSION') AS found")
            known["delta-spark"] = asked.toArrow()["found"][0].as_py()
        return known

    def reach(self) -> SharedDisks:
        """See `Session.reach`."""
        return SharedDisks()

    def refuse_unseen(self, place: SparkPlace) -> None:
        """See `Session.refuse_unseen`. A folder of a run has a name that no other machine has."""
        from pyspark.errors import AnalysisException

        if not place.exists():
            place.make()
        try:
            self.spark.read.text(escaped(place.uri)).schema  # noqa: B018  # a call of the server
        except AnalysisException as error:
            if "PATH_NOT_FOUND" not in str(error):
                raise
            raise ConfigError(
                f"{place} is not seen by the Spark at {_name(self.spark.client)}. With Spark "
                "Connect, raw folder and warehouse (for `plan` TMPDIR too) are on a disk that it "
                "and this machine have under one path."
            ) from None

    def progress(self) -> float:
        """See `Session.progress`: of the queries of this session."""
        shares = [*self.shares.values()]
        tasks = sum(all_tasks for _, all_tasks in shares)
        return sum(finished for finished, _ in shares) / tasks if tasks else 0.0

    def interrupt(self) -> None:
        """See `Session.interrupt`. Waits until they have ended, as they write files."""
        self.spark.client.set_retry_policies([])
        end = time.monotonic() + _ENDING_S
        with suppress(Exception):  # a server that is gone runs none
            while self.spark.interruptAll() and time.monotonic() < end:
                time.sleep(0.1)

    def close(self) -> None:
        """Release the session; the caller's is another."""
        self.spark.client.set_retry_policies([])
        self.spark.stop()

    def _take(self, settings: Mapping[str, str | int | bool]) -> None:
        """Set what a target says. Raises `ConfigError` for what a server is started with."""
        for name, value in settings.items():
            if not (changes_no_row(name) and self.spark.conf.isModifiable(name)):
                raise ConfigError(
                    f"setting {name!r} of Spark is not one of a session: start the server of "
                    "Spark Connect with it, and take it out of the target."
                )
            self.spark.conf.set(name, value)

    def _hear(self, stages: Any, operation_id: str | None, done: bool, **_: Any) -> None:
        if done or stages is None:
            self.shares.pop(operation_id, None)
        else:
            finished = sum(stage.num_completed_tasks for stage in stages)
            self.shares[operation_id] = finished, sum(stage.num_tasks for stage in stages)


def is_asked_for(settings: SparkSettings, caller: Any) -> bool:
    """Tell whether Spark is to be reached by Spark Connect: as the target says, as the caller's
    session does, or as the one does that is active in this process.
    """
    if caller is not None or not (settings.remote or settings.master):
        return _is_session(caller if caller is not None else _active())
    return settings.remote is not None


def _active() -> Any:
    """Return the active session of Spark Connect, None where there is none."""
    module = sys.modules.get(_MODULE)
    return module and module.SparkSession.getActiveSession()


def _is_session(session: Any) -> bool:
    module = sys.modules.get(_MODULE)
    return module is not None and isinstance(session, module.SparkSession)


def _refuse_without_client() -> None:
    if find_spec("grpc") is None or find_spec("grpc_status") is None:
        raise ConfigError("Spark Connect needs its client: pip install 'streampro[spark]'.")


def _session(settings: SparkSettings, caller: Any) -> Any:
    """Return a new session. Raises `ConfigError` for a wrong address, and `EngineError` where
    nobody answers.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession

    reached: Any = _channel_of(caller) if caller else settings.remote
    try:
        session = SparkSession(connection=reached)
    except PySparkException as error:
        raise ConfigError(f"`remote` of a target's [spark] is wrong: {error}") from None
    client = session.client
    client.set_retry_policies([DefaultPolicy(**_CALL_AGAIN)])
    _wait_for(client)
    try:
        version = session.version
    except PySparkException as error:
        [reason, *_] = str(error).splitlines() or [type(error).__name__]
        raise EngineError(f"{_name(client)} refuses the session: {reason}") from error
    if not version.startswith("4."):
        raise ConfigError(f"{_name(client)} is Spark {version}; StreamPro runs on Spark 4.")
    return session


def _channel_of(caller: Any) -> Any:
    """Return how a session reaches its server, for another session there."""
    channel = copy.copy(caller.client._builder)
    channel._params = {
        name: value for name, value in channel._params.items() if name != channel.PARAM_SESSION_ID
    }
    return channel


def _wait_for(client: Any) -> None:
    """Raise `EngineError` unless the server answers: the first refusal counts."""
    import grpc

    settled, states = threading.Event(), []

    def note(state: Any) -> None:
        if state in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
            states.append(state)
            settled.set()

    client._channel.subscribe(note, try_to_connect=True)
    settled.wait(_PATIENCE_S)
    client._channel.unsubscribe(note)
    if states[:1] != [grpc.ChannelConnectivity.READY]:
        client.close()
        raise EngineError(
            f"{_name(client)} does not answer. Is the server of Spark Connect running there, and "
            "does it speak TLS as the address says (use_ssl)?"
        )


def _name(client: Any) -> str:
    """Return the address of a server without what follows it, such as a token."""
    return f"sc://{getattr(client._builder, 'endpoint', client._builder.host)}"
