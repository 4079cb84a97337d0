-- Q1: what share of new users watches at least 30 s in their first session?
-- One row. A new user counts once, with the session that comes first in time.
select
    count(*) as users,
    count(*) filter (where reached_30s) as reached_users,
    count(*) filter (where reached_30s) / nullif(count(*), 0) as reached_rate
from mart.fact_user_session
where session_number = 1;
