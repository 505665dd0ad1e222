import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { messagesOnLog, sumsOf } from './target-metrics.ts'
import { halve, nameOf, pointsKept, processesOfTarget, UsageSampler } from './target-processes.ts'

test('series of one name are summed, whatever their labels', () => {
  const sums = sumsOf('# HELP a x\n# TYPE a counter\na{qos="0"} 2\na{qos="1",x="} 9"} 3\nb 1e3\nc NaN\n')
  expect([...sums]).toEqual([
    ['a', 5],
    ['b', 1000],
  ])
})

test('on the log is what was received and not dropped once nothing is pending; before, what was acknowledged', () => {
  const at = (received: number, acknowledged: number, dropped: number, pending: number) =>
    new Map([
      ['penstock_edge_messages_received_total', received],
      ['penstock_edge_messages_acknowledged_total', acknowledged],
      ['penstock_edge_messages_dropped_total', dropped],
      ['penstock_edge_pending_bytes', pending],
    ])
  expect(messagesOnLog(at(5, 5, 0, 0), at(105, 55, 2, 0))).toBe(98)
  expect(messagesOnLog(at(5, 5, 0, 0), at(105, 55, 0, 9))).toBe(50)
  expect(messagesOnLog(new Map(), new Map([['up', 1]]))).toBeUndefined()
})

test('a process is called by its role or its program', () => {
  expect(nameOf('/x/node --flag /y/infra/penstock.ts edge 1 ')).toBe('edge 1')
  expect(nameOf('node infra/penstock.js start')).toBe('supervisor')
  expect(nameOf('/usr/sbin/mosquitto -c /tmp/a.conf')).toBe('mosquitto')
  expect(nameOf('/x/node loadtest/peers/ack-sink.ts 0')).toBe('ack-sink.ts')
})

test('nothing is found behind a port where nothing listens, and the generator is not its own target', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  const url = `mqtt://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  expect(processesOfTarget([url]).some(({ pid }) => pid === process.pid)).toBe(false)
  await new Promise((resolve) => server.close(resolve))
  expect(processesOfTarget([url])).toEqual([])
})

test('a process that ends while it is sampled keeps what it had', () => {
  const sampler = new UsageSampler([
    { pid: process.pid, name: 'here' },
    { pid: 2 ** 30, name: 'gone' },
  ])
  for (const atS of [0, 1, 2]) sampler.sample(atS)
  const [here, gone] = sampler.usage(100)
  expect(here?.points.length).toBe(2)
  expect(gone).toMatchObject({ cpuSeconds: 0, messagesPerCpuSecond: 0, points: [] })
})

test('a soak of a week keeps a bounded number of samples, its first and its latest', () => {
  const points: number[] = []
  for (let second = 0; second < 7 * 86_400; second++) {
    if (points.length >= pointsKept) halve(points)
    points.push(second)
  }
  expect(points.length).toBeLessThanOrEqual(pointsKept)
  expect([points[0], points.at(-1)]).toEqual([0, 7 * 86_400 - 1])
  expect(points.every((second, index) => index === 0 || second > (points[index - 1] ?? 0))).toBe(true)
})
