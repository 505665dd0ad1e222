import type { Envelope } from '#schemas/batch.ts'
import { EnvelopeScan } from './envelope-scan.ts'

/** The envelope entered, as objects. Its body is a view of the block. Costs as much as a hundred conditions. @throws BATCH_CORRUPT */
export function envelopeOf(scan: EnvelopeScan): Envelope {
  const bytes = scan.bytes as Buffer
  scan.readMaps()
  return {
    deviceId: bytes.toString('utf8', scan.idStart, scan.idEnd),
    enqueuedAtMs: scan.enqueuedAtMs(),
    body: bytes.subarray(scan.bodyStart, scan.bodyEnd),
    properties: mapAt(scan, scan.propertiesStart),
    systemProperties: mapAt(scan, scan.systemStart),
  }
}

/** All envelopes of a block, in order. @throws BATCH_CORRUPT */
export function* envelopesIn(plain: Buffer): Generator<Envelope> {
  const scan = new EnvelopeScan()
  scan.open(plain)
  while (scan.next()) yield envelopeOf(scan)
}

function mapAt(scan: EnvelopeScan, start: number): Record<string, string> {
  const bytes = scan.bytes as Buffer
  const entries: [string, string][] = []
  scan.enterMap(start)
  while (scan.nextEntry()) {
    entries.push([
      bytes.toString('utf8', scan.keyStart, scan.keyEnd),
      bytes.toString('utf8', scan.valueStart, scan.valueEnd),
    ])
  }
  // Not by assignment: a device may well call a property `__proto__`.
  return Object.fromEntries(entries)
}
