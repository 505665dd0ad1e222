/** What of a run falls to the devices of one generator process. */
import type { LoadOptions } from '#loadtest/options/load-options.ts'
import { TurnOrder, zipfWeights } from './schedule.ts'

/** Devices `first`, `first + step`, … of the run belong to this process. */
export interface GeneratorSlice {
  readonly first: number
  readonly step: number
}

/** Share of all messages that falls to these devices, and the order of their turns. */
export function turnsOf(
  { connections, skew }: LoadOptions,
  slice: GeneratorSlice,
): { share: number; turns: TurnOrder } {
  const ranks: number[] = []
  for (let index = slice.first; index < connections; index += slice.step) ranks.push(index)
  if (skew === 0) return { share: ranks.length / connections, turns: new TurnOrder(ranks.length) }
  const sum = (weights: readonly number[]) => weights.reduce((total, weight) => total + weight, 0)
  const own = zipfWeights(ranks, skew)
  const all = zipfWeights(
    Array.from({ length: connections }, (_, rank) => rank),
    skew,
  )
  return { share: sum(own) / sum(all), turns: new TurnOrder(ranks.length, own) }
}

/** Messages a device sends at most, so that the run sends `messages`. */
export function quotaOf({ messages, connections }: LoadOptions, index: number): number {
  if (messages === undefined) return Number.MAX_SAFE_INTEGER
  return Math.floor(messages / connections) + (index < messages % connections ? 1 : 0)
}
