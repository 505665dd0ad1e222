import { jsonOrNothing } from '#loadtest/options/json-shape.ts'
import { PenstockError } from '#schemas/errors.ts'

/** An answer is awaited so long; a full look at a billion rows on two cores takes minutes. */
const queryMsMax = 600_000

export type QueryParameters = Readonly<Record<string, string | number>>

/** Rows of a statement as JSON values. @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
export async function queryRows(url: string, statement: string, parameters: QueryParameters): Promise<unknown[][]> {
  const address = new URL(url)
  const headers: Record<string, string> = {}
  if (address.username !== '') {
    const account = `${decodeURIComponent(address.username)}:${decodeURIComponent(address.password)}`
    headers.authorization = `Basic ${Buffer.from(account).toString('base64')}`
  }
  const target = new URL(address.origin)
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(`param_${name}`, String(value))
  target.searchParams.set('max_query_size', '10000000')
  let response: Response
  let text: string
  try {
    response = await fetch(target, {
      method: 'POST',
      headers,
      body: `${statement} FORMAT JSONCompactEachRow`,
      signal: AbortSignal.timeout(queryMsMax),
    })
    text = await response.text()
  } catch (cause) {
    throw new PenstockError('WAREHOUSE_UNAVAILABLE', `no answer from ${target.origin}`, { cause })
  }
  if (!response.ok) throw new PenstockError('WAREHOUSE_REFUSED', text.slice(0, 1000))
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(rowOf)
}

function rowOf(line: string): unknown[] {
  const row = jsonOrNothing(line)
  if (Array.isArray(row)) return row
  throw new PenstockError('WAREHOUSE_REFUSED', `a row that is no list: ${line.slice(0, 1000)}`)
}
