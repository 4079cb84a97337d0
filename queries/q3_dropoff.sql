-- Q3: which device OS or app version has abnormally high drop-off (under 10 s)?
-- One row per OS, per version and per combination, worst first, with the rate of all other
-- sessions beside it. Whether a difference is more than chance is in the answers that
-- `streampro run` prints: sessions of one user are alike, so it takes a clustered variance.
with sized as (
    select
        case
            when grouping(app_version) = 1 then 'device_os'
            when grouping(device_os) = 1 then 'app_version'
            else 'device_os x app_version'
        end as dimension,
        device_os,
        app_version,
        count(*) as sessions,
        count(*) filter (where dropoff_under_10s) as dropoff_sessions,
        count(distinct user_id) as users
    from mart.fact_user_session
    group by grouping sets ((device_os), (app_version), (device_os, app_version))
),

totals as (
    select
        count(*) as all_sessions,
        count(*) filter (where dropoff_under_10s) as all_dropoff_sessions
    from mart.fact_user_session
)

select
    dimension,
    device_os,
    app_version,
    sessions,
    dropoff_sessions,
    dropoff_sessions / sessions as dropoff_rate,
    users,
    (all_dropoff_sessions - dropoff_sessions) / nullif(all_sessions - sessions, 0)
        as rate_of_all_others
from sized
cross join totals
order by dimension, dropoff_rate desc, device_os, app_version;
