/** The recipes of docs/ANALYSTS.md, as they stand there. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { createClient } from '@clickhouse/client'
import { blocksOf } from '#infra/testbed/document-blocks.ts'
import { pythonForAnalysts } from '#infra/testbed/warehouse-clients.ts'

const document = 'docs/ANALYSTS.md'
const notebook = join(import.meta.dirname, '../../docs/notebook/fleet.py')
const programMsMax = 120_000

export interface Recipe {
  readonly name: string
  readonly text: string
}

/** Statements, one block each; those of dbt are none. */
export function statementRecipes(): Recipe[] {
  return named('sql').filter(({ name }) => !name.startsWith('models/'))
}

function named(language: string): Recipe[] {
  return blocksOf(document).flatMap(({ info, text }) => {
    const [of, name] = info.split(' ')
    return of === language && name !== undefined ? [{ name, text }] : []
  })
}

/** Runs the statements of a block as `analyst`, in order. @returns the rows of the last */
export async function rowsOf(clickhouseUrl: string, { text }: Recipe): Promise<readonly Record<string, unknown>[]> {
  const client = createClient({ url: clickhouseUrl, username: 'analyst', database: 'analyst' })
  try {
    const statements = text.split(/;\s*$/m).filter((statement) => statement.trim() !== '')
    const last = statements.pop() ?? ''
    for (const query of statements) await client.command({ query })
    return await (await client.query({ query: last, format: 'JSONEachRow' })).json()
  } finally {
    await client.close()
  }
}

/** A folder with the files of the document, in which its programs run. */
export class RecipeFolder {
  readonly #path: string = mkdtempSync(join(tmpdir(), 'penstock-recipes-'))
  readonly #clickhouseUrl: string

  constructor(clickhouseUrl: string) {
    this.#clickhouseUrl = clickhouseUrl
    for (const { name, text } of ['sh', 'python', 'yaml', 'sql', 'json'].flatMap(named)) {
      mkdirSync(dirname(join(this.#path, name)), { recursive: true })
      writeFileSync(join(this.#path, name), text)
    }
  }

  /** Where a file of the document lies. */
  path(name: string): string {
    return join(this.#path, name)
  }

  /** @returns what it printed @throws with what it printed, if it fails */
  async run(program: string, ...args: readonly string[]): Promise<string> {
    const { hostname, port } = new URL(this.#clickhouseUrl)
    const clickhouse = { CLICKHOUSE: this.#clickhouseUrl, CLICKHOUSE_HOST: hostname, CLICKHOUSE_PORT: port }
    const env = { ...process.env, ...clickhouse, DBT_SEND_ANONYMOUS_USAGE_STATS: 'false' }
    return await promisify(execFile)(program, args, { cwd: this.#path, env, timeout: programMsMax }).then(
      ({ stdout }) => stdout,
      ({ stdout, stderr }) => {
        throw new Error(`${program} ${args.join(' ')}\n${`${stdout}\n${stderr}`.slice(-4_000)}`)
      },
    )
  }

  python(...args: readonly string[]): Promise<string> {
    return this.run(pythonForAnalysts, ...args)
  }

  notebook(): Promise<string> {
    return this.python(notebook)
  }

  remove(): void {
    rmSync(this.#path, { recursive: true, force: true })
  }
}
