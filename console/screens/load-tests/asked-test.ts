/** From what somebody types to what is asked for. Pure. */
import type { Session } from '#console/data/session.ts'
import { type LoadTestAsked, loadTestBounds } from '#schemas/load-tests.ts'

export type Figure = 'devices' | 'rate' | 'seconds' | 'bodyBytes'
export type Typed = Readonly<Record<Figure, string>>

const names: readonly Figure[] = ['devices', 'rate', 'seconds', 'bodyBytes']

export function numbersOf(typed: Typed): Readonly<Record<Figure, number>> {
  const { devices, rate, seconds, bodyBytes } = typed
  return { devices: Number(devices), rate: Number(rate), seconds: Number(seconds), bodyBytes: Number(bodyBytes) }
}

/** By name, what is not allowed. */
export function boundFaults(typed: Typed): Partial<Readonly<Record<Figure, string>>> {
  const faults: Partial<Record<Figure, string>> = {}
  for (const name of names) {
    const [least, most] = loadTestBounds[name]
    const number = Number(typed[name])
    if (!/^\d+$/.test(typed[name].trim()) || number < least || number > most)
      faults[name] = `a whole number from ${least} to ${most}`
  }
  return faults
}

/** The same by the command line, in the folder of the program; with what is not as it is by default. */
export function commandFor(asked: LoadTestAsked, session: Session): string {
  const { devices, rate, seconds, bodyBytes, qos, shape } = asked
  const { ports, host, isOpen, hostName } = session
  const web = `http://${host}:${ports.http}`
  const options = [
    `--url mqtt://${host}:${ports.mqtt}`,
    `--connections ${devices} --rate ${rate} --seconds ${seconds} --body-bytes ${bodyBytes}`,
    ...(qos === 1 ? [] : ['--qos 0']),
    ...(shape === 'steady' ? [] : [`--shape ${shape}`]),
    ...(ports.clickhouse === undefined ? [] : [`--clickhouse http://${host}:${ports.clickhouse}`]),
    `--metrics ${web}/metrics`,
    ...(isOpen ? [] : [`--data-dir ./data --registry ${web} --hub-name ${hostName}`]),
  ]
  return `npm run loadtest -- ${options.join(' \\\n  ')}`
}
