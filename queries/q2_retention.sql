-- Q2: which genres bring users back for a second session within 3 days (72 elapsed hours)?
-- One row per genre of the first video of the first session; null is "unknown".
-- retention_rate is the question as asked. Users whose 3 days reach past the newest event cannot
-- have been seen coming back yet, so genres are compared by observable_retention_rate.
with horizon as (
    select max(event_ts) as latest from staging.events
)

select
    first_genre,
    count(*) as users,
    count(*) filter (where retained_within_3d) as retained_users,
    count(*) filter (where retained_within_3d) / count(*) as retention_rate,
    count(*) filter (where retention_deadline_ts <= latest) as observable_users,
    count(*) filter (where retention_deadline_ts <= latest and retained_within_3d)
        as observable_retained_users,
    count(*) filter (where retention_deadline_ts <= latest and retained_within_3d)
        / nullif(count(*) filter (where retention_deadline_ts <= latest), 0)
        as observable_retention_rate,
    count(*) filter (where retention_deadline_ts > latest) as censored_users
from mart.fact_user_session
cross join horizon
where session_number = 1
group by first_genre
order by observable_retention_rate desc nulls last, first_genre;
