with source as (

    select * from {{ ref('raw_customers') }}

),

renamed as (

    select
        try_cast(id as integer) as customer_id,
        first_name,
        last_name,
        raw_line,
        source_file
    from source

)

select
    customer_id,
    first_name,
    last_name,
    case
        when customer_id is null then 'bad_id'
        when first_name is null or last_name is null then 'no_name'
    end as reject_reason,
    raw_line,
    source_file
from renamed
