import type { Setting } from './setting.ts'

/** Where rows are, and who reads them. Part of `settingsTable`. */
export const clickhouseSettings = {
  clickhouseUrl: {
    env: 'PENSTOCK_CLICKHOUSE_URL',
    kind: 'url',
    default: undefined,
    schemes: ['http', 'https'],
    meaning: 'address of a ClickHouse server; unset: the embedded engine',
  },
  clickhouseUser: {
    env: 'PENSTOCK_CLICKHOUSE_USER',
    kind: 'text',
    default: 'default',
    meaning: 'ClickHouse user that writes',
  },
  clickhousePassword: {
    env: 'PENSTOCK_CLICKHOUSE_PASSWORD',
    kind: 'secret',
    default: '',
    meaning: 'password of PENSTOCK_CLICKHOUSE_USER; if it is set, the embedded engine requires it too',
  },
  clickhouseAnalystPassword: {
    env: 'PENSTOCK_CLICKHOUSE_ANALYST_PASSWORD',
    kind: 'secret',
    default: '',
    meaning:
      "password of the embedded engine's user `analyst`, who reads all tables and writes those of the database `analyst`; unset: this user exists only if no user has a password",
  },
  clickhouseReadonlyPassword: {
    env: 'PENSTOCK_CLICKHOUSE_READONLY_PASSWORD',
    kind: 'secret',
    default: '',
    meaning:
      "password of the embedded engine's user `readonly`, for analysts; of PENSTOCK_CLICKHOUSE_READONLY_USER where that is set",
  },
  clickhouseReadonlyUser: {
    env: 'PENSTOCK_CLICKHOUSE_READONLY_USER',
    kind: 'text',
    default: undefined,
    meaning:
      'ClickHouse user without rights to change anything, as whom the console runs statements; unset: with the embedded engine `readonly`, else the console runs none',
  },
  clickhouseReadonlyLimits: {
    env: 'PENSTOCK_CLICKHOUSE_READONLY_LIMITS',
    kind: 'text',
    default: '',
    meaning:
      "what statements of the embedded engine's user `readonly` may take, such as `seconds=30 memory=2GB rows-read=1000000000 rows-result=1000000 queries=4`, and what the console asks for with any ClickHouse; each may be left out. On a server of your own give its users a settings profile",
  },
  clickhouseAnalystLimits: {
    env: 'PENSTOCK_CLICKHOUSE_ANALYST_LIMITS',
    kind: 'text',
    default: '',
    meaning: "the same of the embedded engine's user `analyst`",
  },
  queryLogDays: {
    env: 'PENSTOCK_QUERY_LOG_DAYS',
    kind: 'integer',
    default: 7,
    min: 0,
    max: 3_650,
    meaning:
      'days for which statements of clients of the embedded engine are kept in `penstock.queries`; 0: they are not. A ClickHouse server has its own log',
  },
  clickhouseReplicated: {
    env: 'PENSTOCK_CLICKHOUSE_REPLICATED',
    kind: 'choice',
    default: 'no',
    choices: ['no', 'yes'],
    meaning: 'create tables as ReplicatedMergeTree',
  },
  clickhouseCluster: {
    env: 'PENSTOCK_CLICKHOUSE_CLUSTER',
    kind: 'text',
    default: undefined,
    meaning:
      'cluster (or its macro, e.g. `{cluster}`) whose servers all get the tables, with PENSTOCK_CLICKHOUSE_REPLICATED=yes; unset: one server only',
  },
} as const satisfies Record<string, Setting>
