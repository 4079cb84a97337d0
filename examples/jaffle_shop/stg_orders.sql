with source as (

    select * from {{ ref('raw_orders') }}

),

renamed as (

    select
        try_cast(id as integer) as order_id,
        try_cast(user_id as integer) as customer_id,
        try_cast(order_date as date) as order_date,
        status,
        raw_line,
        source_file
    from source

)

select
    order_id,
    customer_id,
    order_date,
    status,
    case
        when order_id is null then 'bad_id'
        when customer_id is null then 'bad_user_id'
        when order_date is null then 'bad_order_date'
        when status is null then 'no_status'
    end as reject_reason,
    raw_line,
    source_file
from renamed
