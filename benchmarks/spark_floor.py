"""The floor on Spark: the same three layers by hand in the DataFrame API, with nothing checked.

No rejects, no books, no audits, lenient casts; the reader drops what it cannot read. Each layer is
written as a Delta table and read back. The session has the settings of StreamPro's own.

    python benchmarks/spark_floor.py RAW OUT NAME=VALUE...
"""

import sys
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window, functions as f

from streampro.config import SparkSettings
from streampro.engines.spark.application import ApplicationSession

_EVENT = (
    "account_id",
    "user_id",
    "video_id",
    "session_id",
    "event_name",
    "device",
    "device_os",
    "app_version",
)
_SCHEMA = (
    "timestamp string, value string, network_type string, country string, "
    "network struct<type: string, country: string>, "
) + ", ".join(f"{name} string" for name in _EVENT)
_EARLIEST = ("account_id", "device", "device_os", "app_version", "network_type", "country")


def events(spark: SparkSession, raw: Path) -> DataFrame:
    """Return typed, distinct events."""
    lines = spark.read.schema(_SCHEMA).json(str(raw / "events"))
    rows = lines.select(
        f.expr("try_cast(timestamp AS timestamp)").alias("event_ts"),
        *_EVENT,
        f.expr("try_cast(value AS bigint)").alias("value"),
        f.coalesce("network_type", "network.type").alias("network_type"),
        f.coalesce("country", "network.country").alias("country"),
    )
    return rows.dropna(subset=["event_ts", "user_id", "session_id", "event_name"]).distinct()


def users(spark: SparkSession, raw: Path) -> DataFrame:
    """Return one row per user."""
    rows = spark.read.csv(str(raw / "users.csv"), header=True)
    typed = rows.withColumn("signup_date", f.expr("try_cast(signup_date AS date)"))
    return typed.dropna(subset="user_id").dropDuplicates(["user_id"])


def videos(spark: SparkSession, raw: Path) -> DataFrame:
    """Return one row per video."""
    rows = spark.read.csv(str(raw / "videos.csv"), header=True)
    typed = rows.withColumn("duration_seconds", f.expr("try_cast(duration_seconds AS bigint)"))
    return typed.dropna(subset="video_id").dropDuplicates(["video_id"])


def sessions(events: DataFrame, users: DataFrame, videos: DataFrame) -> DataFrame:
    """Return one row per user and session."""
    at, name = f.col("event_ts"), f.col("event_name")
    starts, ends = f.when(name == "session_start", at), f.when(name == "session_end", at)
    watched = f.sum(f.when(name == "watch_time", f.col("value")))
    found = events.groupBy("user_id", "session_id").agg(
        f.coalesce(f.min(starts), f.min(at)).alias("session_start_ts"),
        f.coalesce(f.max(ends), f.max(at)).alias("session_end_ts"),
        f.count("*").alias("event_count"),
        f.coalesce(watched, f.lit(0)).alias("total_watch_time_s"),
        f.bool_or(name == "like").alias("has_like"),
        f.bool_or(name == "heart").alias("has_heart"),
        *(_earliest(column).alias(column) for column in _EARLIEST),
        _earliest("video_id").alias("first_video_id"),
    )
    first_videos = videos.select(
        f.col("video_id").alias("first_video_id"),
        f.col("title").alias("first_video_title"),
        f.col("genre").alias("first_genre"),
        f.col("duration_seconds").alias("first_video_duration_s"),
    )
    in_order = Window.partitionBy("user_id").orderBy("session_start_ts", "session_id")
    return (
        found.join(first_videos, "first_video_id", "left")
        .join(users, "user_id", "left")
        .withColumn("session_number", f.row_number().over(in_order))
    )


def facts(sessions: DataFrame) -> DataFrame:
    """Return sessions with what the user did next."""
    in_order = Window.partitionBy("user_id").orderBy("session_number")
    is_first = f.col("session_number") == 1
    deadline = f.col("session_start_ts") + f.expr("INTERVAL 72 HOURS")
    following = f.lead("session_start_ts").over(in_order)
    return sessions.select(
        "*",
        (f.col("total_watch_time_s") >= 30).alias("reached_30s"),
        (f.col("total_watch_time_s") < 10).alias("dropoff_under_10s"),
        following.alias("next_session_start_ts"),
        f.lead("session_number").over(in_order).alias("next_session_number"),
        f.when(is_first, f.coalesce(following <= deadline, f.lit(False))).alias(
            "retained_within_3d"
        ),
        f.when(is_first, deadline).alias("retention_deadline_ts"),
    )


def answers(facts: DataFrame, events: DataFrame) -> list[DataFrame]:
    """Return the three answers."""
    firsts = facts.where("session_number = 1")
    observable = f.col("retention_deadline_ts") <= f.col("horizon")
    return [
        firsts.agg(f.count("*"), f.count_if("reached_30s")),
        firsts.crossJoin(events.agg(f.max("event_ts").alias("horizon")))
        .groupBy("first_genre")
        .agg(
            f.count("*"),
            f.count_if("retained_within_3d"),
            f.count_if(observable),
            f.count_if(observable & f.col("retained_within_3d")),
        ),
        facts.groupingSets(
            [["device_os"], ["app_version"], ["device_os", "app_version"]],
            "device_os",
            "app_version",
        ).agg(f.count("*"), f.count_if("dropoff_under_10s")),
    ]


def main(raw: Path, out: Path, settings: dict[str, str]) -> None:
    """Write events, users, videos, sessions and facts, then print the answers."""
    session = ApplicationSession(
        SparkSettings(master=settings.pop("spark.master"), settings={**settings})
    )
    spark: SparkSession = session.spark

    def stored(name: str, rows: DataFrame) -> DataFrame:
        folder = str((out / name).absolute())
        rows.write.format("delta").option("compression", "zstd").save(folder)
        return spark.read.format("delta").load(folder)

    all_events = stored("events", events(spark, raw))
    all_users, all_videos = stored("users", users(spark, raw)), stored("videos", videos(spark, raw))
    all_sessions = stored("sessions", sessions(all_events, all_users, all_videos))
    for answer in answers(stored("facts", facts(all_sessions)), all_events):
        print(len(answer.collect()))
    session.close()


def _earliest(column: str) -> Any:
    value = f.col(column)
    return f.min(f.when(value.isNotNull(), f.struct("event_ts", value)))[column]


if __name__ == "__main__":
    pairs = dict(argument.split("=", 1) for argument in sys.argv[3:])
    main(Path(sys.argv[1]), Path(sys.argv[2]), pairs)
