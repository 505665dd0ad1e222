{{ config(materialized='incremental', unique_key='id', order_by='id') }}
select id, now() as at from {{ ref('adults') }}
{% if is_incremental() %} where id >= (select max(id) from {{ this }}) {% endif %}
