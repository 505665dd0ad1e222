import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { deviceIdOf, type LoadOptions } from '#loadtest/options/load-options.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Account } from './control-packets.ts'
import type { DeviceIdentity } from './device-connection.ts'

/** Identity of each device of a workload by its number in it. @throws LOADTEST_OPTIONS_INVALID if the accounts cannot be read */
export function deviceIdentities(options: LoadOptions): (index: number) => DeviceIdentity {
  const { run, firstDevice, sourceAddresses, accountsFile, deviceKeySecret } = options
  const accounts = accountsFile === undefined ? [] : accountsOf(textOf(accountsFile), accountsFile)
  return (index) => {
    const deviceId = deviceIdOf(run, firstDevice + index)
    const account =
      deviceKeySecret === undefined
        ? accounts[(firstDevice + index) % Math.max(1, accounts.length)]
        : { username: deviceId, password: deviceKeyOf(deviceKeySecret, deviceId) }
    return { deviceId, account, localAddress: sourceAddresses[index % Math.max(1, sourceAddresses.length)] }
  }
}

/** A device's own key (base64): made, not stored, so that every generator process knows it. */
export function deviceKeyOf(secret: string, deviceId: string): string {
  return createHmac('sha256', secret).update(deviceId).digest('base64')
}

/** Lines `username,password`; the password may hold commas. @throws LOADTEST_OPTIONS_INVALID */
export function accountsOf(text: string, file: string): Account[] {
  const accounts = text
    .split(/\r?\n/)
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const comma = line.indexOf(',')
      return { username: line.slice(0, comma), password: line.slice(comma + 1), isGood: comma > 0 }
    })
  const bad = accounts.findIndex(({ isGood }) => !isGood)
  if (accounts.length === 0 || bad >= 0)
    throw new PenstockError(
      'LOADTEST_OPTIONS_INVALID',
      `--accounts ${file}: expected lines username,password${bad >= 0 ? `; entry ${bad + 1} is none` : ''}`,
    )
  return accounts.map(({ username, password }) => ({ username, password }))
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', `--accounts ${file}: cannot be read`, { cause })
  }
}
