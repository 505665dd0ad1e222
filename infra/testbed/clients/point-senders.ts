/**
 * The client of InfluxDB and the SDK of OpenTelemetry, unchanged: a point with the token naming the device, and one with the path doing so;
 * prints `sent`.
 *
 *   node point-senders.ts {https://hub} {device} {key}
 */
import { InfluxDB, Point } from '@influxdata/influxdb-client'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'

const [url = '', device = '', key = ''] = process.argv.slice(2)

const points = new InfluxDB({ url, token: `${device}:${key}` }).getWriteApi('-', 'any', 'ms')
points.writePoint(new Point('boiler').tag('unit', 'a').floatField('temperature', 21.5).timestamp(1_769_860_800_000))
await points.close()

const exporter = new OTLPMetricExporter({
  url: `${url}/devices/${device}/v1/metrics`,
  headers: { authorization: `Bearer ${key}` },
})
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
const provider = new MeterProvider({ readers: [reader] })
provider.getMeter('meter').createCounter('strokes').add(3)
await provider.shutdown()
process.stdout.write('sent\n')
