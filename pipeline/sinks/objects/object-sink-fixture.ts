import { rangeAt, type TestMessage } from '#pipeline/endpoints/selected-fixture.ts'
import { systemClock } from '#runtime/clock.ts'
import type { ObjectSettings } from '#schemas/endpoint-kinds/object-fields.ts'
import { defaultObjectNameFormat } from '#schemas/object-name-format.ts'
import { messagesOfObject } from './object-contents-fixture.ts'
import { ObjectSink } from './object-sink.ts'
import type { ObjectStore } from './object-store.ts'

export const objectSettings: ObjectSettings = {
  nameFormat: defaultObjectNameFormat,
  encoding: 'json',
  rollSeconds: 60,
  rollBytes: 1_000_000,
}

/** A sink of the hub `hub` and the group `test`. */
export function objectSink(store: ObjectStore, settings: Partial<ObjectSettings> = {}): ObjectSink {
  const all = { ...objectSettings, ...settings }
  return new ObjectSink({ name: 'objects', store, settings: all, hubName: 'hub', group: 'test', clock: systemClock })
}

/** Messages of objects by name, partition by partition and in the order of positions. */
export async function contentsOf(
  objects: ReadonlyMap<string, Buffer>,
  encoding: ObjectSettings['encoding'],
): Promise<readonly TestMessage[]> {
  const names = [...objects.keys()].sort()
  const all = await Promise.all(names.map((name) => messagesOfObject(objects.get(name) ?? Buffer.alloc(0), encoding)))
  return all.flat()
}

/** The name of `rangeAt(first, …)` of one batch in the default format. */
export const nameAt = (first: number, extension = '.json'): string => {
  const { enqueuedAtMsFirst } = rangeAt(first, [['x']]).range
  const offset = String(first).padStart(12, '0')
  return `hub/0/2026/01/02/00/00/test-${offset}-${offset}-${String(enqueuedAtMsFirst % 60_000).padStart(5, '0')}-0${extension}`
}
