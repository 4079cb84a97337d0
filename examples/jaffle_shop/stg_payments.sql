with source as (

    select * from {{ ref('raw_payments') }}

),

renamed as (

    select
        try_cast(id as integer) as payment_id,
        try_cast(order_id as integer) as order_id,
        payment_method,
        -- the files have cents
        (try_cast(amount as decimal(16, 2)) * 0.01)::decimal(16, 2) as amount,
        raw_line,
        source_file
    from source

)

select
    payment_id,
    order_id,
    payment_method,
    amount,
    case
        when payment_id is null then 'bad_id'
        when order_id is null then 'bad_order_id'
        when payment_method is null then 'no_method'
        when amount is null then 'bad_amount'
    end as reject_reason,
    raw_line,
    source_file
from renamed
