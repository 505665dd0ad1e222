/** docs/alerts.yml: an alert on a metric that does not exist never fires, and nobody notices. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { MemoryLog } from '#pipeline/log/memory/memory-log.ts'
import { startWorker } from '#pipeline/workers/worker.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { deadLetterReasons } from '#schemas/dead-letter.ts'
import { metricsTable } from '#schemas/metrics.ts'

const text = readFileSync(join(import.meta.dirname, '../../docs/alerts.yml'), 'utf8')
const rules = text.split(/^ {6}- alert: /m).slice(1)
const expressionOf = (rule: string) => /^ {8}expr: ([\s\S]*?)^ {8}(?:for|labels):/m.exec(rule)?.[1] ?? ''
const metricsOf = (rule: string) => expressionOf(rule).match(/\bpenstock_\w+/g) ?? []

describe('alerts', () => {
  test.each(rules.map((rule) => [rule.split('\n')[0], rule]))(
    '%s looks at metrics that exist, by labels that they have, and says what is at stake',
    (_, rule) => {
      const metrics = metricsOf(rule!)
      expect(metrics.length).toBeGreaterThan(0)
      for (const name of metrics) expect(Object.keys(metricsTable)).toContain(name)
      for (const [, label] of rule!.matchAll(/by \((\w+)\)|\$labels\.(\w+)/g))
        if (label)
          for (const name of metrics) expect(metricsTable[name as keyof typeof metricsTable].labels).toContain(label)
      expect(rule).toMatch(/summary: \S[\s\S]*description: \S/)
    },
  )

  test('every counter of a worker that an alert looks at exists at 0 from its start', async () => {
    const metrics = new Metrics(metricsTable)
    const log = new MemoryLog()
    const never = () => Promise.reject(new Error('nothing is delivered here'))
    const worker = await startWorker({
      log,
      group: 'g',
      destination: {
        atomic: true,
        name: 'none',
        insertMsMax: 1,
        insert: never,
        stored: never,
        newest: never,
        accepts: never,
        close: never,
      },
      deadLetters: { put: never, lettered: never },
      logger: silentLogger,
      metrics,
      insertDelayMs: 1,
    })
    const zeros = metrics.samples().filter(([, , value]) => value === 0)
    await worker.close()
    await log.close()
    const wanted = rules.flatMap(metricsOf).filter((name) => /^penstock_(worker|log_positions)_.*total$/.test(name))
    expect(wanted.length).toBeGreaterThan(2)
    for (const name of wanted) expect(zeros.map(([zero]) => zero)).toContain(name)
    for (const reason of deadLetterReasons)
      expect(zeros).toContainEqual(['penstock_worker_dead_letters_total', `reason="${reason}"`, 0])
  })
})
