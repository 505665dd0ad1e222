import { type Route, routeOfReading } from '#ingest/batches/route.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { SparkplugRoutes } from '#ingest/sparkplug/sparkplug-routes.ts'
import type { WillRequest } from './connect.ts'
import { type Publisher, readTopic, retainProperty } from './route.ts'

/** The application property that marks a will message, as the hub names it. */
const willProperty = ['iothub-MessageType', 'Will'] as const

/**
 * A will message: telemetry that the edge publishes when its client is lost without a DISCONNECT [MQTT-3.1.2-8]. Its
 * topic is judged at CONNECT. A will delay ends with the session (MQTT 5.0, section 3.1.3.2.2), and no session outlives
 * its connection here. So the will is due when the connection ends, whatever its delay, and no client can come back to
 * the session first.
 */
export class Will {
  readonly #edge: EdgeContext
  readonly #route: Route
  readonly #payload: Buffer

  /** @throws what `readTopic` throws, if the client may not publish to the will's topic */
  constructor(edge: EdgeContext, request: WillRequest, publisher: Publisher, sparkplug: SparkplugRoutes | undefined) {
    const reading = readTopic(Buffer.from(request.topic), publisher)
    for (const [key, value] of request.userProperties) reading.properties.set(key, value)
    for (const [key, value] of request.systemProperties) reading.systemProperties.set(key, value)
    if (request.retain) reading.properties.set(...retainProperty)
    reading.properties.set(...willProperty)
    this.#edge = edge
    this.#route = sparkplug?.routeOf(reading) ?? routeOfReading(edge.batcher, reading)
    this.#payload = request.payload
  }

  publish(): void {
    this.#edge.batcher.tick()
    this.#route.partition.write(this.#route.frame, this.#payload, 0, this.#payload.length, undefined)
    this.#edge.counters.receivedQos0.add(1)
  }
}
