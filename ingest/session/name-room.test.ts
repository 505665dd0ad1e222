import { expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { type NameHolder, NameRoom } from './name-room.ts'

/** Holds so many nodes of a KiB, and counts those that it forgets. */
class Gateway implements NameHolder {
  forgotten = 0
  readonly #room: NameRoom

  constructor(room: NameRoom, nodes: number) {
    this.#room = room
    for (let node = 0; node < nodes; node++) room.take(this, 1_024)
    expect(room.heldBy(this)).toBe(nodes * 1_024)
  }

  forgetSome(): void {
    this.forgotten++
    this.#room.give(this, 1_024)
  }
}

test('whoever has the most makes room for many names at once, and ends up with no less than who asked for it, but for that [G-4]', () => {
  const room = new NameRoom()
  const nodes = limits.sparkplugConnectionNamesBytesMax / 1_024
  const count = limits.sparkplugNamesBytesMax / limits.sparkplugConnectionNamesBytesMax
  const large = Array.from({ length: count }, () => new Gateway(room, nodes))
  const forgotten = () => large.reduce((sum, gateway) => sum + gateway.forgotten, 0)
  const newcomer = new Gateway(room, 1)
  expect([room.bytes, forgotten()]).toEqual([limits.sparkplugNamesBytesMax - 1023 * 1_024, 1_024])
  for (let name = 0; name < 1_023; name++) room.take(newcomer, 1_024)
  expect(forgotten()).toBe(1_024)
  while (room.take(newcomer, 1_024));
  expect(room.bytes).toBeLessThanOrEqual(limits.sparkplugNamesBytesMax)
  const least = Math.min(...large.map((gateway) => room.heldBy(gateway)))
  expect(least).toBeGreaterThanOrEqual(room.heldBy(newcomer) - 1024 * 1024)
  for (const holder of [...large, newcomer]) room.give(holder, room.heldBy(holder))
  expect([room.bytes, room.heldBy(newcomer)]).toEqual([0, 0])
})
