/**
 * What a session listens to, as one small number, which is kept between connections: two bits a feed, in the order of `feeds`.
 * 0: it does not; 1: with QoS 0; 2: with QoS 1. A further feed takes the next two bits.
 */
import { type Feed, feeds } from './delivery.ts'

export type Subscriptions = number
export type Qos = 0 | 1

export const noSubscriptions: Subscriptions = 0

export function qosIn(subscriptions: Subscriptions, feed: Feed): Qos | undefined {
  const bits = (subscriptions >>> shiftOf(feed)) & 3
  return bits === 0 ? undefined : bits === 1 ? 0 : 1
}

export function withFeed(subscriptions: Subscriptions, feed: Feed, qos: Qos): Subscriptions {
  return withoutFeed(subscriptions, feed) | ((qos + 1) << shiftOf(feed))
}

export function withoutFeed(subscriptions: Subscriptions, feed: Feed): Subscriptions {
  return subscriptions & ~(3 << shiftOf(feed))
}

function shiftOf(feed: Feed): number {
  return 2 * feeds.indexOf(feed)
}
