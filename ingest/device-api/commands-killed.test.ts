import { expect, test } from 'vitest'
import { usualCommandRules } from '#control/commands/command-rules.ts'
import { commandTo } from '#control/commands/commands.conformance.ts'
import { openRegistry } from '#control/open-registry.ts'
import { deviceContent } from '#control/registry.conformance.ts'
import { silentLogger } from '#runtime/logger.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { CommandedFleet, endsOf, poison, whatIsWrong } from './commanded-fleet-fixture.ts'

const [deviceCount, commandCount, edgeCount] = [8, 60, 3]
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('whatever device or edge is killed, each command ends as acknowledged or as a dead letter, and in order [G-7]', async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  const random = seededRandom(seed)
  const registry = await openRegistry({
    postgresUrl: undefined,
    dataDir: undefined,
    connectionsMax: 1,
    logger: silentLogger,
    commandRules: { ...usualCommandRules, deliveriesMax: 4 },
  })
  const { commands } = registry
  const deviceIds = Array.from({ length: deviceCount }, (_, index) => `d${index}`)
  for (const deviceId of deviceIds) await registry.identities.create(deviceContent(deviceId))
  const fleet = new CommandedFleet(commands, deviceIds, edgeCount, random)
  const sent = new Map<string, string[]>(deviceIds.map((deviceId) => [deviceId, []]))

  const sendTo = async (deviceId: string): Promise<void> => {
    for (let number = 0; number < commandCount; ) {
      const text = random.chance(0.03) ? `${poison}-${number}` : `${number}`
      try {
        await commands.send(commandTo(deviceId, text, { ack: 'full' }))
        sent.get(deviceId)?.push(text)
        number++
        if (random.chance(0.8)) fleet.tell(deviceId)
      } catch (error) {
        if (!isPenstockError(error, 'COMMAND_QUEUE_FULL')) throw error
        fleet.tell(deviceId)
        await turn()
      }
    }
  }
  let isSending = true
  const killing = (async () => {
    while (isSending) {
      for (let turns = random.below(60); turns > 0; turns--) await turn()
      const witness = fleet.witnesses[random.below(deviceCount)]
      if (random.chance(0.2)) fleet.killEdge()
      else if (witness) fleet.connect(witness)
    }
  })()
  await Promise.all(deviceIds.map(sendTo))
  isSending = false
  await killing
  await expect
    .poll(
      async () => {
        for (const deviceId of deviceIds) fleet.tell(deviceId)
        return (await commands.measure()).waiting
      },
      { timeout: 60_000 },
    )
    .toBe(0)
  fleet.close()
  const twice: string[] = []
  const ends = await endsOf(commands, deviceIds, twice)
  expect([...twice, ...whatIsWrong(fleet.witnesses, sent, ends)], `SEED=${seed}`).toEqual([])
  expect(fleet.witnesses.flatMap(({ seen }) => seen).length).toBeGreaterThan(deviceCount * commandCount)
  await registry.close()
})
