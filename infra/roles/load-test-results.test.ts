import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fakeResult } from '#loadtest/result/load-result.fake.ts'
import { limits } from '#schemas/limits.ts'
import { InstallationLoadTests } from './installation-load-tests.ts'
import { LoadTestResults } from './load-test-results.ts'

let folder = ''
let results: LoadTestResults

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-results-'))
  results = new LoadTestResults(folder)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function put(run: string, text: string, atS = 1_000): void {
  writeFileSync(join(folder, `${run}.json`), text)
  utimesSync(join(folder, `${run}.json`), atS, atS)
}

const resultText = (lost = 0): string => JSON.stringify(fakeResult(lost))
const isUnknown = expect.objectContaining({ code: 'LOADTEST_UNKNOWN' })

describe('results of load tests', () => {
  test('there are none where there is no folder', async () => {
    rmSync(folder, { recursive: true })
    expect(await results.list()).toEqual({ results: [], more: 0, unreadable: 0 })
  })

  test('are listed with what they found; what is no result is counted', async () => {
    put('clean', resultText())
    put('lossy', resultText(3))
    put('other', '{"verdict":"passed"}')
    put('torn', '{')
    writeFileSync(join(folder, 'not a name.json'), resultText())
    mkdirSync(join(folder, 'folder.json'))
    const { results: listed, unreadable } = await results.list()
    expect(listed.map(({ run, verdict, lost }) => [run, verdict, lost])).toEqual(
      expect.arrayContaining([
        ['clean', 'passed', 0],
        ['lossy', 'failed', 3],
      ]),
    )
    expect([listed.length, unreadable]).toEqual([2, 2])
  })

  test('are read again once their file has changed, and only then', async () => {
    put('r', resultText())
    expect((await results.list()).results[0]?.verdict).toBe('passed')
    put('r', resultText(1), 2_000)
    expect((await results.list()).results[0]?.verdict).toBe('failed')
  })

  test('no more are read than are listed', async () => {
    for (let count = 0; count < limits.loadTestsListedMax + 2; count++) put(`r${count}`, '{', count + 1)
    expect(await results.list()).toEqual({ results: [], more: 2, unreadable: limits.loadTestsListedMax })
  })

  test('are shown with their stages, latencies and ledger, and compared', async () => {
    put('now', resultText())
    put('before', resultText(3))
    const detail = await results.detail('now', 'before')
    expect(detail.stages.map(({ name }) => name)).toEqual(['offered', 'sent', 'acknowledged', 'on the log', 'stored'])
    expect(detail.points).toHaveLength(2)
    expect(detail.ledger.filter(({ isFault }) => isFault).every(({ count }) => count === 0)).toBe(true)
    expect(detail.compared).toMatchObject({ run: 'before', areBothValid: true })
    expect(detail.compared?.figures.find(({ name }) => name === 'lost')).toMatchObject({ before: '3', now: '0' })
    expect((await results.detail('now', undefined)).compared).toBeNull()
    await expect(results.detail('now', 'gone')).rejects.toEqual(isUnknown)
  })

  test('no name leads to another file', async () => {
    writeFileSync(join(folder, '..', 'outside.json'), resultText())
    try {
      for (const run of ['../outside', 'a/b', '', '.', '..', 'x'.repeat(65), 'r\0']) {
        await expect(results.detail(run, undefined)).rejects.toEqual(isUnknown)
        await expect(results.report(run)).rejects.toEqual(isUnknown)
        await expect(results.remove(run)).rejects.toEqual(isUnknown)
      }
    } finally {
      rmSync(join(folder, '..', 'outside.json'))
    }
  })

  test('are deleted with their report', async () => {
    put('r', resultText())
    writeFileSync(join(folder, 'r.html'), '<!doctype html>')
    expect(await results.report('r')).toBe('<!doctype html>')
    await results.remove('r')
    expect(readdirSync(folder)).toEqual([])
    await expect(results.remove('r')).rejects.toEqual(isUnknown)
  })
})

describe('load tests of an installation', () => {
  const asked = { devices: 1, rate: 1, seconds: 5, bodyBytes: 48, qos: 1, shape: 'steady' } as const

  test('are not started by a process without a supervisor, and their results are read all the same', async () => {
    const tests = new InstallationLoadTests(results, undefined)
    expect(await tests.list()).toMatchObject({ canStart: false, running: undefined })
    await expect(tests.start(asked)).rejects.toMatchObject({ code: 'LOADTEST_IMPOSSIBLE' })
    await expect(tests.stop()).rejects.toMatchObject({ code: 'LOADTEST_IMPOSSIBLE' })
  })

  test('are not started while too many results are kept', async () => {
    const state = async () => undefined
    const start = async () => ({ ...asked }) as never
    const tests = new InstallationLoadTests(results, { state, start, stop: async () => {} })
    await tests.start(asked)
    for (let count = 0; count < limits.loadTestsKeptMax; count++) put(`r${count}`, '{')
    await expect(tests.start(asked)).rejects.toMatchObject({ code: 'LOADTESTS_FULL' })
  })
})
