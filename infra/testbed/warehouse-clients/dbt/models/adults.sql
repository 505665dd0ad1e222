{{ config(materialized='table', engine='MergeTree()', order_by='id') }}
select id, name, born from {{ ref('people') }}
