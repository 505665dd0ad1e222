/** Of what comes in formats that are not the hub's. Part of `limits`. */
export const senderLimits = {
  /** Name of what was measured, in characters: it is a property of each of its rows. */
  pointNameLengthMax: 1_024,
  /** Points of one request that are refused each for itself: so many are told of one by one, the rest by its number. */
  pointFaultsToldMax: 50,
  /** Fields of one protobuf message with all that lie in it: more than the points of a request have, and some tens of megabytes while it is read. */
  protobufFieldsMax: 400_000,
  /** Messages of protobuf within one another. Values of OTLP may hold values, which nobody nests like this. */
  protobufDepthMax: 32,
  /** What the connections of an edge process remember together of births of Sparkplug: some hundred thousand metrics. */
  sparkplugNamesBytesMax: 64 * 1024 * 1024,
  /** And each of them: a gateway of some tens of thousands of metrics, as several may be at one edge. */
  sparkplugConnectionNamesBytesMax: 16 * 1024 * 1024,
} as const
