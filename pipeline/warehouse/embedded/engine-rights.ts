/**
 * What the engine itself refuses to every statement. This also holds for text that becomes SQL only while a statement runs: column defaults
 * in the structure of a table function, expressions among inserted values. `permissions.ts` reads statements before they run, and cannot
 * see these.
 *
 *   engine/penstock-config.xml      no folder of programs or of users' files
 *   engine/penstock-users.xml       roles and their rights, and settings that nobody changes
 *   engine/user_defined/*.sql       functions that replace the engine's own: `file`, which needs no right, and those that name the user
 *
 * Reading rows with FROM INFILE and writing results with INTO OUTFILE need no right. Only the handler may use them.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Users of the port. The engine has a single user, whose rights are those of the role that a connection has set. A role has the name of the
 * user whose statements run under it. The handler's own statements set no role, and have the rights of all roles.
 */
export type EngineUser = 'default' | 'analyst' | 'readonly'

export function isEngineUser(name: string): name is EngineUser {
  return name === 'default' || name === 'analyst' || name === 'readonly'
}

/** The database that `analyst` may write. */
export const analystDatabase = 'analyst'

/**
 * The role for an INSERT … SELECT FROM input(), which reads its rows by the table function `file`. It has the rights of the user's own role,
 * and `file`. It is set only for statements that the judge has read and that name no file themselves.
 */
export function spoolRoleOf(user: EngineUser): string {
  return `${user}_spool`
}

const reading = 'GRANT SHOW, SELECT, CHECK, dictGet ON *.*'
/** Statements may hold what is not for everybody. */
const notTheLog = 'REVOKE SELECT ON penstock.queries'
const own = (actions: string): string => `GRANT ${actions} ON ${analystDatabase}.*`

/** Rights of ClickHouse's GRANT. None creates dictionaries, since a dictionary's source may be a file or a program. */
const rights: Readonly<Record<EngineUser, readonly string[]>> = {
  default: [
    'GRANT SHOW, SELECT, INSERT, ALTER, CREATE, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, CHECK, KILL QUERY, KILL TRANSACTION, ' +
      'MOVE PARTITION BETWEEN SHARDS, SYSTEM, dictGet, INTROSPECTION, CLUSTER ON *.*',
    'REVOKE CREATE DICTIONARY ON *.*',
    'GRANT SET DEFINER ON *',
    ...['URL', 'REMOTE', 'S3'].map((source) => `GRANT READ, WRITE ON ${source}`),
  ],
  analyst: [
    reading,
    notTheLog,
    'GRANT CREATE TEMPORARY TABLE ON *.*',
    own(
      'CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, UNDROP TABLE, INSERT, ALTER, TRUNCATE, OPTIMIZE',
    ),
  ],
  // For the tables that a request brings along. Statements of the user may not create tables (`permissions.ts`).
  readonly: [reading, notTheLog, 'GRANT CREATE TEMPORARY TABLE ON *.*'],
}

const roles: readonly (readonly [string, readonly string[]])[] = Object.entries(rights).flatMap(([user, grants]) => [
  [user, grants],
  [spoolRoleOf(user as EngineUser), [...grants, 'GRANT READ ON FILE']],
])

/**
 * Settings that read or write a file by its path, that choose another disk, or that turn a text into SQL or into a statement of another
 * language, which nobody has judged.
 */
const fixedSettings: readonly string[] = [
  'format_schema',
  'format_schema_source',
  'format_template_row',
  'format_template_resultset',
  'input_format_record_errors_file_path',
  'merge_tree_disk',
  'merge_tree_table_disk',
  'merge_tree_storage_policy',
  'additional_result_filter',
  'additional_table_filters',
  'parallel_replicas_custom_key',
  'dialect',
  'allow_experimental_kusto_dialect',
  'allow_experimental_prql_dialect',
  'allow_experimental_polyglot_dialect',
  'allow_experimental_eval_table_function',
  'allow_python_table_function',
]

/**
 * Values are read as literals only, since an expression among them is SQL that nobody has judged. Only the handler turns expressions on,
 * for rows that it has read (`plain-values.ts`).
 */
export const withoutExpressions = [
  'input_format_values_interpret_expressions',
  'input_format_values_deduce_templates_of_expressions',
] as const

/** A folder that does not exist. */
const nowhere = '/nonexistent/'

const config = (usersFile: string) => `<clickhouse>
  <users_config>${xml(usersFile)}</users_config>
  <user_scripts_path>${nowhere}</user_scripts_path>
  <user_files_path>${nowhere}</user_files_path>
  <format_schema_path>${nowhere}</format_schema_path>
  <dictionaries_lib_path>${nowhere}</dictionaries_lib_path>
</clickhouse>
`

const users = `<clickhouse>
  <profiles>
    <default>
${withoutExpressions.map((name) => `      <${name}>0</${name}>`).join('\n')}
      <constraints>
${fixedSettings.map((name) => `        <${name}><const/></${name}>`).join('\n')}
      </constraints>
    </default>
  </profiles>
  <quotas><default/></quotas>
  <roles>
${roles.map(([role, grants]) => `    <${role}><grants>${grants.map((grant) => `<query>${grant}</query>`).join('')}</grants></${role}>`).join('\n')}
  </roles>
  <users>
    <default>
      <password></password>
      <networks><ip>::1</ip><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants><query>GRANT ${roles.map(([role]) => role).join(', ')}</query></grants>
    </default>
  </users>
</clickhouse>
`

const userOfRole = "() -> splitByChar('_', currentRoles()[1])[1]"

/** They replace the engine's own functions. Since the engine has functions of these names, they can be neither dropped nor replaced. */
const functions: Readonly<Record<string, string>> = {
  file: "path -> throwIf(materialize(1), 'the embedded engine gives no access to files')",
  currentUser: userOfRole,
  user: userOfRole,
}

/**
 * Writes the files into the engine's folder, which must exist, and returns the arguments with which it opens under them.
 * @param path absolute
 */
export function limitedEngineArguments(path: string): string[] {
  const configFile = join(path, 'penstock-config.xml')
  const usersFile = join(path, 'penstock-users.xml')
  const functionsFolder = join(path, 'user_defined')
  mkdirSync(functionsFolder, { recursive: true })
  writeFileSync(configFile, config(usersFile), { mode: 0o600 })
  writeFileSync(usersFile, users, { mode: 0o600 })
  for (const [name, body] of Object.entries(functions))
    writeFileSync(join(functionsFolder, `function_${name}.sql`), `CREATE FUNCTION ${name} AS ${body}\n`, {
      mode: 0o600,
    })
  return [`--config-file=${configFile}`]
}

function xml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
