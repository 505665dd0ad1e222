/** A node of Sparkplug B that others wrote (mqtt-spb-wrapper for Python), against an edge that decodes payloads. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { pythonForSparkplug, sparkplugNodeMissing } from '#infra/testbed/python-sparkplug.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { type Edge, startEdge } from '#ingest/edge.ts'
import { CapturingLog, listeningEdgeOptions } from '#ingest/edge-fixture.ts'

const run = promisify(execFile)
const node = serverFor('a node of Sparkplug B', sparkplugNodeMissing)
const program = join(import.meta.dirname, '../../infra/testbed/clients/sparkplug_node.py')

let edge: Edge | undefined
afterEach(async () => {
  await edge?.close()
  edge = undefined
})

describe.skipIf(node.skip)(`a node of Sparkplug B ${node.note}`, () => {
  test('births, data and deaths of a node and its device become rows that analysts can read', async () => {
    const log = new CapturingLog()
    const started = await startEdge({
      ...listeningEdgeOptions(log),
      decodesSparkplug: true,
    })
    edge = started
    await run(pythonForSparkplug, [program, String(started.mqttPort), 'press-7'])
    const rows = () => log.envelopes().map(({ body }) => JSON.parse(String(body)))
    await expect.poll(() => rows().length).toBe(5)
    expect(new Set(log.envelopes().map(({ deviceId }) => deviceId))).toEqual(new Set(['press-7']))
    expect(rows().map(({ type, group, node, device }) => [type, group, node, device])).toEqual([
      ['NBIRTH', 'plant', 'press-7', undefined],
      ['NDATA', 'plant', 'press-7', undefined],
      ['NDEATH', 'plant', 'press-7', undefined],
      ['DBIRTH', 'plant', 'press-7', 'pump'],
      ['DDEATH', 'plant', 'press-7', 'pump'],
    ])
    expect(rows()[0]?.values).toMatchObject({ 'ATTR/serial': 'A-1', 'DATA/level': -5 })
    expect(rows()[1]?.metrics).toEqual([{ name: 'level', type: 'Int8', time: expect.any(String), value: -6 }])
    expect(rows()[3]?.values).toMatchObject({ 'DATA/speed': 0.1, 'DATA/running': true })
  })
})
