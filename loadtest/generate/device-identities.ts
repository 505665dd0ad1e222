import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSasToken } from '#control/auth/sas-token.ts'
import { deviceIdOf, isAmqp, type LoadOptions, secondsMax } from '#loadtest/options/load-options.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Account } from './control-packets.ts'

/** Who a device is and where it connects from. */
export interface DeviceIdentity {
  readonly deviceId: string
  /** Undefined: connects without proof. */
  readonly account: Account | undefined
  /** Undefined: the system's choice. */
  readonly localAddress: string | undefined
}

/** As long as the longest run, and a day. */
const tokenMs = (secondsMax + 86_400) * 1000

/** Identity of each device of a workload by its number in it. @throws LOADTEST_OPTIONS_INVALID if the accounts cannot be read */
export function deviceIdentities(options: LoadOptions): (index: number) => DeviceIdentity {
  const { run, firstDevice, sourceAddresses, accountsFile, deviceKeySecret } = options
  const accounts = accountsFile === undefined ? [] : accountsOf(textOf(accountsFile), accountsFile)
  return (index) => {
    const deviceId = deviceIdOf(run, firstDevice + index)
    const account =
      deviceKeySecret === undefined
        ? accounts[(firstDevice + index) % Math.max(1, accounts.length)]
        : accountOf(options, deviceId, deviceKeyOf(deviceKeySecret, deviceId))
    return { deviceId, account, localAddress: sourceAddresses[index % Math.max(1, sourceAddresses.length)] }
  }
}

/** Over AMQP a user name and a token, as devices of the hub have them; over MQTT and HTTP the key itself. */
function accountOf({ url, hubName }: LoadOptions, deviceId: string, key: string): Account {
  if (!isAmqp(url)) return { username: deviceId, password: key }
  return { username: `${deviceId}@sas.${hubName}`, password: deviceTokenOf(key, deviceId, hubName) }
}

/** @param key the device's own (base64) */
export function deviceTokenOf(key: string, deviceId: string, hubName: string): string {
  return createSasToken({ scope: `${hubName}/devices/${deviceId}`, key, expiresAtMs: Date.now() + tokenMs })
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
