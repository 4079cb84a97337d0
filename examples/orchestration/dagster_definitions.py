"""Definitions for Dagster: `dagster dev -f dagster_definitions.py`."""

import dagster as dg
from refresh import refresh

import streampro


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=2, delay=300))
def viewing() -> dg.MaterializeResult:
    """All tables of the pipeline, as one asset; one run of a warehouse at a time."""
    try:
        run = refresh("nightly")
    except (streampro.DataError, streampro.ConfigError, streampro.PipelineError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return dg.MaterializeResult(metadata=run)


defs = dg.Definitions(
    assets=[viewing],
    schedules=[
        dg.ScheduleDefinition(
            name="daily", cron_schedule="10 3 * * *", target=dg.AssetSelection.assets(viewing)
        )
    ],
)
