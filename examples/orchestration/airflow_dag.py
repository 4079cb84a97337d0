"""A DAG for Airflow 3, to be put into its DAG folder beside `refresh.py`."""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException
from refresh import refresh

import streampro


@dag(schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def viewing() -> None:
    """Bring the warehouse up to the raw folder once a day; one run at a time."""

    @task(retries=2, retry_delay=timedelta(minutes=5))
    def run(target: str) -> dict[str, Any]:
        """Return what the run did; Airflow tries again only what may then succeed."""
        try:
            return refresh(target)
        except (streampro.DataError, streampro.ConfigError, streampro.PipelineError) as error:
            raise AirflowFailException(str(error)) from error

    run("nightly")


viewing()
