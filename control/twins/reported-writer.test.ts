import { describe, expect, test } from 'vitest'
import type { Queries, SqlRow, SqlValue } from '#control/store/database.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { identityFromText, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { patchFrom } from './patch-json.ts'
import { ReportedWriter } from './reported-writer.ts'

interface Row {
  birth: string | null
  reported: string
  marks: string
  version: number
}

const lists = (parameters: readonly SqlValue[]): string[][] => parameters.map((value) => [...(value as string[])])

function idRow(text: string): SqlRow {
  const { deviceId, moduleId } = identityFromText(text)
  return { device_id: deviceId, module_id: moduleId ?? '' }
}

/** The three statements of the writer over rows in memory, by what they begin with. Each waits for `open`, if it is told to. */
class FakeStore implements Queries {
  readonly rows = new Map<string, Row>()
  readonly writes: (readonly string[])[] = []
  /** Called before a write is carried out. */
  beforeWrite = (_ids: readonly string[]): void => {}
  isAway = false
  /** The write is carried out, and its answer lost. */
  losesAnswer = false
  reads = 0
  gate: Promise<void> = Promise.resolve()

  constructor(...ids: string[]) {
    for (const id of ids) this.rows.set(id, { birth: null, reported: '{}', marks: '{}', version: 1 })
  }

  async query<R extends SqlRow>(sql: string, parameters: readonly SqlValue[] = []): Promise<R[]> {
    await this.gate
    if (this.isAway) throw new PenstockError('STORE_UNAVAILABLE', 'silent')
    const [devices = [], modules = [], ...columns] = lists(parameters)
    const ids = devices.map((deviceId, at) => identityText({ deviceId, moduleId: modules[at] || undefined }))
    if (sql.startsWith('SELECT')) return this.#select(ids) as unknown as R[]
    if (sql.startsWith('INSERT')) {
      for (const id of ids) this.born(id)
      return []
    }
    const done = this.#update(ids, columns)
    if (!this.losesAnswer) return done as unknown as R[]
    this.losesAnswer = false
    throw new PenstockError('STORE_UNAVAILABLE', 'cut off')
  }

  born(id: string): void {
    const row = this.rows.get(id)
    if (row) row.birth = String(Math.random())
  }

  #select(ids: readonly string[]): SqlRow[] {
    this.reads++
    return ids.flatMap((id) => {
      const row = this.rows.get(id)
      if (row === undefined) return []
      return [
        {
          ...idRow(id),
          birth: row.birth,
          reported: row.birth && row.reported,
          reported_marks: row.birth && row.marks,
          reported_version: row.birth && row.version,
        },
      ]
    })
  }

  #update(
    ids: readonly string[],
    [texts = [], marks = [], versions = [], was = [], births = []]: string[][],
  ): SqlRow[] {
    this.beforeWrite(ids)
    if (ids.includes('poison')) throw new Error('a document that the store does not take')
    this.writes.push(ids)
    return ids.flatMap((id, at) => {
      const row = this.rows.get(id)
      if (row === undefined || String(row.version) !== was[at] || row.birth !== births[at]) return []
      Object.assign(row, { reported: texts[at], marks: marks[at], version: Number(versions[at]) })
      return [idRow(id)]
    })
  }
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
}

function writerOver(store: FakeStore) {
  const clock = virtualClock()
  /** Time goes on, to the next moment that anything waits for, until `promise` is settled. */
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    let isSettled = false
    const settle = (): void => {
      isSettled = true
    }
    promise.then(settle, settle)
    for (await turns(); !isSettled; await turns()) clock.step()
    return promise
  }
  const stepTo = (atMs: number): void => {
    while (clock.step(atMs));
  }
  const writer = new ReportedWriter(store, clock, silentLogger)
  const report = (id: string, patch: string, ifVersion?: number): Promise<number> => {
    const bytes = Buffer.from(patch)
    return writer.report({ id: identityFromText(id), patch: patchFrom(bytes), bytes: bytes.length, ifVersion })
  }
  return { stepTo, settled, writer, report }
}

const coded = (code: string) => expect.objectContaining({ code })

describe('reported patches', () => {
  test('of one turn are one statement, and each has its own version', async () => {
    const store = new FakeStore('a', 'b')
    const { report } = writerOver(store)
    const versions = await Promise.all([
      report('a', '{"n":1}'),
      report('b', '{"n":1}'),
      report('a', '{"n":2,"m":1}'),
      report('a', '{"m":null}'),
    ])
    expect(versions).toEqual([2, 2, 3, 4])
    expect(store.writes).toEqual([['a', 'b']])
    expect(store.rows.get('a')).toMatchObject({ reported: '{"n":2}', version: 4 })
  })

  test('are written in the order in which other writers lock twins, whatever their ids are', async () => {
    const store = new FakeStore('a', 'a/m', 'a-b')
    const { report } = writerOver(store)
    await Promise.all(['a-b', 'a/m', 'a'].map((id) => report(id, '{"n":1}')))
    expect(store.writes).toEqual([['a', 'a/m', 'a-b']])
  })

  test('that come while a group is under way make up the next, from memory, no sooner than groups may begin', async () => {
    const store = new FakeStore('a')
    const { settled, report } = writerOver(store)
    expect(await report('a', '{"n":0}')).toBe(2)
    const reads = store.reads
    const later = [report('a', '{"n":1}'), report('a', '{"n":2}')]
    await turns()
    expect(store.writes).toHaveLength(1)
    expect(await settled(Promise.all(later))).toEqual([3, 4])
    expect(store.writes).toHaveLength(2)
    expect(store.reads).toBe(reads)
  })

  test('fill groups of as many twins as one statement takes, and do not wait once one is full', async () => {
    const ids = Array.from({ length: limits.twinGroupMax + 1 }, (_, index) => `d${1_000 + index}`)
    const store = new FakeStore(...ids)
    const { settled, report } = writerOver(store)
    await settled(Promise.all(ids.map((id) => report(id, '{"n":1}'))))
    expect(store.writes.map(({ length }) => length)).toEqual([limits.twinGroupMax, 1])
  })

  test('that another process overtook are merged again, and into what it wrote', async () => {
    const store = new FakeStore('a')
    const { settled, report } = writerOver(store)
    await report('a', '{"mine":1}')
    Object.assign(store.rows.get('a') ?? {}, { reported: '{"mine":1,"theirs":2}', version: 9 })
    expect(await settled(report('a', '{"mine":3}'))).toBe(10)
    expect(JSON.parse(store.rows.get('a')?.reported ?? '')).toEqual({ mine: 3, theirs: 2 })
    store.beforeWrite = () => {
      const row = store.rows.get('a')
      if (row) row.version++
    }
    await expect(settled(report('a', '{"mine":4}'))).rejects.toEqual(coded('TWIN_CONFLICT'))
  })

  test('never reach the twin of a device that was made again, though its versions are the same', async () => {
    const store = new FakeStore('a')
    const { settled, report } = writerOver(store)
    await report('a', '{"of":"the first"}')
    store.rows.set('a', { birth: null, reported: '{"fresh":1}', marks: '{}', version: 2 })
    store.born('a')
    expect(await settled(report('a', '{"n":1}'))).toBe(3)
    expect(JSON.parse(store.rows.get('a')?.reported ?? '')).toEqual({ fresh: 1, n: 1 })
  })

  test('that cannot be are refused alone: no such device, another version, too large', async () => {
    const store = new FakeStore('a', 'b')
    const { report } = writerOver(store)
    const large = `{${Array.from({ length: 8 }, (_, index) => `"k${index}":"${'x'.repeat(4_090)}"`).join()}}`
    const outcomes = await Promise.allSettled([
      report('nobody', '{"n":1}'),
      report('a', '{"n":1}', 7),
      report('a', '{"n":1}', 1),
      report('a', '{"n":2}', 1),
      report('a', large),
      report('a', '{"m":1}', 2),
      report('b', '{"n":1}'),
    ])
    expect(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason.code))).toEqual([
      'REGISTRY_DEVICE_UNKNOWN',
      'REGISTRY_ETAG_STALE',
      2,
      'REGISTRY_ETAG_STALE',
      'TWIN_INVALID',
      3,
      2,
    ])
    expect(store.rows.get('a')?.reported).toBe('{"n":1,"m":1}')
  })

  test('that the store takes from nobody are refused, and not those beside them', async () => {
    const store = new FakeStore('a', 'poison', 'z')
    const { report } = writerOver(store)
    const outcomes = await Promise.allSettled(['a', 'poison', 'z'].map((id) => report(id, '{"n":1}')))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })
})

describe('while the store is away', () => {
  test('patches wait, in their order, and are committed once it is back', async () => {
    const store = new FakeStore('a')
    const { stepTo, settled, report } = writerOver(store)
    store.isAway = true
    const first = report('a', '{"n":1}')
    await turns()
    const second = report('a', '{"n":2}')
    stepTo(5_000)
    await turns()
    expect(store.writes).toEqual([])
    store.isAway = false
    expect(await settled(Promise.all([first, second]))).toEqual([2, 3])
    expect(store.rows.get('a')?.reported).toBe('{"n":2}')
  })

  test('a patch whose statement was carried out unheard is merged again, into what it made', async () => {
    const store = new FakeStore('a')
    const { settled, report } = writerOver(store)
    await report('a', '{"n":0}')
    store.losesAnswer = true
    expect(await settled(report('a', '{"n":1}'))).toBe(4)
    expect(store.rows.get('a')).toMatchObject({ reported: '{"n":1}', version: 4 })
  })

  test('patches are refused after ten seconds, also while a statement hangs', async () => {
    const store = new FakeStore('a')
    const { stepTo, report, writer } = writerOver(store)
    let open = (): void => {}
    store.gate = new Promise((resolve) => {
      open = resolve
    })
    const refused = expect(Promise.all([report('a', '{"n":1}'), report('a', '{"n":2}')])).rejects.toEqual(
      coded('STORE_UNAVAILABLE'),
    )
    await turns()
    stepTo(limits.twinWaitMsMax)
    await refused
    open()
    await writer.close()
    await expect(report('a', '{}')).rejects.toEqual(coded('STORE_UNAVAILABLE'))
  })

  test('no more wait than their bytes allow', async () => {
    const store = new FakeStore('a')
    store.isAway = true
    const { report, writer } = writerOver(store)
    const large = `{"k":"${'x'.repeat(4_000)}"}`
    const count = Math.floor(limits.twinQueueBytesMax / large.length)
    const waiting = Promise.allSettled(Array.from({ length: count }, () => report('a', large)))
    await expect(report('a', large)).rejects.toEqual(coded('STORE_UNAVAILABLE'))
    await writer.close()
    expect((await waiting).every(({ status }) => status === 'rejected')).toBe(true)
  })
})
