/** What is a keyword, a type or a string to ClickHouse. Functions are asked of the server: there are 1,700 of them. */
import { SQLDialect } from '@codemirror/lang-sql'

const keywords = `
all and anti any array as asc asof between both by case cast collate cross cube date day desc describe distinct
else end except exists explain extract fill final first following format from full global group having hour if ilike in inner
intersect interval into is join last leading left like limit materialized microsecond millisecond minute month not null nulls
offset on or order outer over partition paste ast pipeline plan estimate syntax preceding prewhere quarter qualify range recursive
replace right rollup row rows sample second select semi settings show step table tables ties then timestamp to totals trailing
trim truncate type unbounded union using values view week when where window with year
`

const types = `
AggregateFunction Array BFloat16 Bool Date Date32 DateTime DateTime64 Decimal Decimal128 Decimal256 Decimal32 Decimal64 Dynamic Enum
Enum16 Enum8 FixedString Float32 Float64 IPv4 IPv6 Int128 Int16 Int256 Int32 Int64 Int8 JSON LowCardinality Map Nested Nullable
Point SimpleAggregateFunction String Time Time64 Tuple UInt128 UInt16 UInt256 UInt32 UInt64 UInt8 UUID Variant
`

const onOneLine = (words: string): string => words.trim().replaceAll('\n', ' ')

export const clickhouse = SQLDialect.define({
  keywords: onOneLine(keywords),
  types: onOneLine(types).toLowerCase(),
  builtin: 'true false nan inf',
  backslashEscapes: true,
  hashComments: true,
  doubleDollarQuotedStrings: true,
  identifierQuotes: '`"',
  operatorChars: '*+-%<>!=/|?:',
  specialVar: '',
})

/** As they are offered. */
export const offeredKeywords: readonly string[] = onOneLine(keywords).toUpperCase().split(' ')
