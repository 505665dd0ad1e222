import { afterEach, describe, expect, test } from 'vitest'
import type { CommandsTaken } from '#control/commands/commands.ts'
import type { Outcome } from '#ingest/session/delivery.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import type { SettlementKind, TakenCommand } from '#schemas/commands.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { ListeningDevice, MemoryQueues, takenCommand } from './commanded-fixture.ts'
import { DeviceCommands } from './device-commands.ts'

const id = { deviceId: 'd', moduleId: undefined }

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function edgeOf() {
  const queues = new MemoryQueues()
  const clock = virtualClock(1_000_000)
  const advance = (byMs: number): void => {
    const untilMs = clock.nowMs() + byMs
    while (clock.step(untilMs)) {}
  }
  const commands = new DeviceCommands({ queues, clock, logger: silentLogger, metrics: new Metrics(metricsTable) })
  /** Lets all happen that no timer holds back but that of settlements. */
  const settled = async (): Promise<void> => {
    for (let count = 0; count < 6; count++) {
      await turn()
      advance(limits.commandSettleDelayMs)
    }
    await turn()
  }
  return { queues, advance, commands, settled }
}

/** The same of each of its commands. */
function withEach(queue: CommandsTaken, changes: Partial<TakenCommand>): CommandsTaken {
  return { ...queue, commands: queue.commands.map((command) => ({ ...command, ...changes })) }
}

let opened: DeviceCommands | undefined
afterEach(() => void opened?.close())

describe('commands for a device', () => {
  test('leave in order once it listens, and are completed when it acknowledges them', async () => {
    const { queues, commands, settled } = edgeOf()
    opened = commands
    queues.add(...['a', 'b', 'c'].map((text) => takenCommand('d', text)))
    const device = new ListeningDevice(id)
    commands.onSubscribed(device, 'methods')
    await settled()
    expect(device.texts).toEqual([])
    commands.onSubscribed(device, 'commands')
    await settled()
    expect([device.texts, queues.settled]).toEqual([['a', 'b', 'c'], []])
    device.answer('acknowledged')
    await settled()
    expect(queues.settledKinds).toEqual(['complete a'])
    device.answer('acknowledged')
    device.answer('acknowledged')
    await settled()
    expect(queues.settledKinds).toEqual(['complete a', 'complete b', 'complete c'])
  })

  test('no more are taken before all that were taken are settled, and then the next: a beginning of the queue, always', async () => {
    const { queues, commands, settled } = edgeOf()
    opened = commands
    const texts = Array.from({ length: limits.commandsInFlightMax + 3 }, (_, index) => String(index))
    queues.add(...texts.map((text) => takenCommand('d', text)))
    const device = new ListeningDevice(id)
    commands.onSubscribed(device, 'commands')
    await settled()
    expect(device.texts).toEqual(texts.slice(0, limits.commandsInFlightMax))
    for (let count = 1; count < limits.commandsInFlightMax; count++) device.answer('acknowledged')
    commands.onNotice(device, { kind: 'commands' })
    await settled()
    expect([device.texts.length, queues.taken.length]).toEqual([limits.commandsInFlightMax, 1])
    device.answer('acknowledged')
    await settled()
    expect(device.texts).toEqual(texts)
  })

  test.each<[Outcome, SettlementKind]>([
    ['acknowledged', 'complete'],
    ['sent', 'complete'],
    ['rejected', 'reject'],
    ['tooLarge', 'reject'],
    ['lost', 'abandon'],
    ['notSubscribed', 'release'],
    ['gone', 'release'],
  ])('a delivery that is %s is settled as %s', async (outcome, kind) => {
    const { queues, commands, settled } = edgeOf()
    opened = commands
    queues.add(takenCommand('d', 'a'))
    commands.onSubscribed(new ListeningDevice(id, outcome), 'commands')
    await settled()
    expect(queues.settledKinds).toEqual([`${kind} a`])
  })

  test('one that comes again is said to, and is sent alone: what ends a connection is the only one that counts', async () => {
    const { queues, commands, settled } = edgeOf()
    opened = commands
    queues.add(takenCommand('d', 'poison', { deliveries: 1 }), takenCommand('d', 'next'), takenCommand('d', 'last'))
    const device = new ListeningDevice(id)
    commands.onSubscribed(device, 'commands')
    await settled()
    expect(device.deliveries).toMatchObject([{ isRepeated: true }])
    device.end()
    commands.onEnded(device)
    await settled()
    expect(queues.settledKinds.toSorted()).toEqual(['abandon poison', 'release last', 'release next'])
  })

  test('what was taken for a session that ended meanwhile goes back uncounted', async () => {
    const { queues, commands, settled } = edgeOf()
    opened = commands
    queues.add(takenCommand('d', 'a'))
    const device = new ListeningDevice(id)
    commands.onSubscribed(device, 'commands')
    commands.onEnded(device)
    await settled()
    expect([device.texts, queues.settledKinds]).toEqual([[], ['release a']])
  })

  test('a device that does not read is tried again a second later, not at once', async () => {
    const { queues, advance, commands, settled } = edgeOf()
    opened = commands
    queues.add(takenCommand('d', 'a'))
    const device = new ListeningDevice(id, 'full')
    commands.onSubscribed(device, 'commands')
    await settled()
    expect([queues.settledKinds, queues.taken.length]).toEqual([['release a'], 1])
    device.atOnce = 'acknowledged'
    queues.add(takenCommand('d', 'a'))
    advance(1_000)
    await settled()
    expect(queues.settledKinds).toEqual(['release a', 'complete a'])
  })

  test('while the store is away nothing is lost: taking and settling are tried again', async () => {
    const { queues, advance, commands, settled } = edgeOf()
    opened = commands
    queues.add(takenCommand('d', 'a'))
    queues.isFailing = true
    const device = new ListeningDevice(id)
    commands.onSubscribed(device, 'commands')
    await settled()
    queues.isFailing = false
    advance(1_000)
    await settled()
    expect(device.texts).toEqual(['a'])
    queues.isFailing = true
    device.answer('acknowledged')
    await settled()
    queues.isFailing = false
    advance(1_000)
    await settled()
    expect(queues.settledKinds).toEqual(['complete a'])
  })

  test.each([
    ['out of order', (queue: CommandsTaken) => [{ ...queue, commands: [...queue.commands].reverse() }]],
    ['twice', (queue: CommandsTaken) => [{ ...queue, commands: queue.commands.flatMap((one) => [one, one]) }]],
    ['of a device that was not asked about', (queue: CommandsTaken) => [{ ...queue, deviceId: 'another' }]],
    ['of another device among its own', (queue: CommandsTaken) => [withEach(queue, { deviceId: 'another' })]],
    ['under one lock', (queue: CommandsTaken) => [withEach(queue, { lockToken: 'shared' })]],
    ['in two answers', (queue: CommandsTaken) => queue.commands.map((one) => ({ ...queue, commands: [one] }))],
  ])('that a queue gives %s are not sent [G-7]', async (_name, wrong) => {
    const { queues, advance, commands, settled } = edgeOf()
    opened = commands
    queues.add(takenCommand('d', 'a'), takenCommand('d', 'b'))
    const take = queues.takeCommands.bind(queues)
    queues.takeCommands = async (wanted) => (await take(wanted)).flatMap(wrong)
    const device = new ListeningDevice(id)
    commands.onSubscribed(device, 'commands')
    await settled()
    queues.takeCommands = take
    queues.add(takenCommand('d', 'c'))
    advance(1_000)
    await settled()
    expect(device.texts).toEqual(['c'])
  })

  test('a notice that was lost delays them, and no more than that', async () => {
    const { queues, advance, commands, settled } = edgeOf()
    opened = commands
    const device = new ListeningDevice(id, 'acknowledged')
    commands.onSubscribed(device, 'commands')
    await settled()
    queues.add(takenCommand('d', 'a'))
    await settled()
    expect(device.texts).toEqual([])
    advance(limits.commandsLookMs)
    await settled()
    expect(device.texts).toEqual(['a'])
  })

  test('a notice that comes while others are with the device is not forgotten', async () => {
    const { queues, commands, settled } = edgeOf()
    opened = commands
    queues.add(takenCommand('d', 'a'))
    const device = new ListeningDevice(id)
    commands.onSubscribed(device, 'commands')
    await settled()
    queues.add(takenCommand('d', 'b'))
    commands.onNotice(device, { kind: 'commands' })
    await settled()
    expect(device.texts).toEqual(['a'])
    device.answer('acknowledged')
    await settled()
    expect(device.texts).toEqual(['a', 'b'])
  })

  test('many devices cost one statement, and one device that asks twice is asked about twice', async () => {
    const { queues, commands, settled } = edgeOf()
    opened = commands
    for (let index = 0; index < 100; index++) {
      queues.add(takenCommand(`d${index}`, `of ${index}`))
      commands.onSubscribed(
        new ListeningDevice({ deviceId: `d${index}`, moduleId: undefined }, 'acknowledged'),
        'commands',
      )
    }
    const ofRequest = commands.take({ deviceId: 'd1', moduleId: undefined })
    await settled()
    expect(queues.taken.map((wanted) => wanted.length).slice(0, 2)).toEqual([100, 1])
    expect(await ofRequest).toBe(undefined)
    expect(queues.settled).toHaveLength(100)
  })

  test('what a process holds has a bound: devices wait for room, and get it', async () => {
    const { queues, commands, settled } = edgeOf()
    opened = commands
    const body = Buffer.alloc(limits.commandBytesMax)
    const count = limits.commandsHeldBytesMax / body.length + 2
    const devices = Array.from(
      { length: count },
      (_, index) => new ListeningDevice({ deviceId: `d${index}`, moduleId: undefined }),
    )
    for (const [index, device] of devices.entries()) {
      queues.add(takenCommand(`d${index}`, 'large', { body }))
      commands.onSubscribed(device, 'commands')
      await settled()
    }
    const served = () => devices.filter(({ deliveries }) => deliveries.length > 0).length
    expect(served()).toBe(count - 2)
    // One that ended waits no more, and takes no other's turn.
    commands.onEnded(devices[count - 2] ?? expect.fail())
    devices[0]?.answer('acknowledged')
    await settled()
    expect([served(), devices.at(-1)?.deliveries.length]).toEqual([count - 1, 1])
  })

  test('who settles nothing for as long as a lock lasts gives way once others wait for room, and not before', async () => {
    const { queues, commands, settled, advance } = edgeOf()
    opened = commands
    const body = Buffer.alloc(limits.commandBytesMax)
    const add = (index: number): ListeningDevice => {
      const device = new ListeningDevice({ deviceId: `d${index}`, moduleId: undefined })
      for (const text of ['first', 'second']) queues.add(takenCommand(`d${index}`, text, { body }))
      commands.onSubscribed(device, 'commands')
      return device
    }
    const look = async (times = 1): Promise<void> => {
      for (let time = 0; time < times; time++) {
        advance(limits.commandsLookMs)
        await settled()
      }
    }
    const count = limits.commandsHeldBytesMax / body.length / 2
    const holders = Array.from({ length: count }, (_, index) => add(index))
    await settled()
    await look(Math.ceil(limits.commandLockMs / limits.commandsLookMs))
    expect(holders.filter(({ texts, endedFor }) => texts.length < 2 || endedFor !== undefined)).toEqual([])
    const [slow, deaf] = holders
    slow?.answer('acknowledged')
    // What it has it has still.
    if (deaf !== undefined) commands.onUnsubscribed(deaf, 'commands')
    const last = add(count)
    await settled()
    const other = add(count + 1)
    await settled()
    expect([last.texts.length, other.texts.length]).toEqual([2, 0])
    await look()
    expect([last.texts.length, other.texts.length]).toEqual([2, 2])
    expect(new Set(holders.map(({ endedFor }) => endedFor))).toEqual(new Set([undefined, 'INGEST_COMMANDS_HELD']))
    expect([slow, last, other].map((device) => device?.endedFor)).toEqual([undefined, undefined, undefined])
    expect(deaf?.endedFor).toBe('INGEST_COMMANDS_HELD')
    expect(queues.settledKinds).toContain('abandon first')
  })

  test('its properties are the hub’s: the address, what its sender said, and which feedback it wants', async () => {
    const { queues, commands, settled } = edgeOf()
    opened = commands
    const systemProperties = new Map([
      ['uid', 'someone'],
      ['mid', 'm-1'],
    ])
    queues.add(takenCommand('d', 'a', { systemProperties, applicationProperties: new Map([['k', 'v']]), ack: 'full' }))
    const device = new ListeningDevice(id)
    commands.onSubscribed(device, 'commands')
    await settled()
    const [delivery] = device.deliveries
    if (delivery?.feed !== 'commands') throw new Error('no command was delivered')
    expect([...delivery.systemProperties]).toEqual([
      ['mid', 'm-1'],
      ['to', '/devices/d/messages/devicebound'],
      ['uid', 'someone'],
    ])
    expect([...delivery.applicationProperties]).toEqual([
      ['iothub-ack', 'full'],
      ['k', 'v'],
    ])
  })
})
