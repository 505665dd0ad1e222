import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { isSecret, type Setting, secretFileEnv } from '#schemas/setting.ts'
import { settingsTable } from '#schemas/settings.ts'
import { settingsFromEnvironment, shownSettings } from './settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-settings-'))
const file = join(folder, 'penstock.conf')
afterAll(() => rmSync(folder, { recursive: true }))

function faultsOf(environment: Record<string, string>): string {
  try {
    settingsFromEnvironment(environment)
  } catch (error) {
    expect(error).toMatchObject({ code: 'SETTINGS_INVALID', disposition: 'fatal' })
    return (error as Error).message
  }
  throw new Error('was accepted')
}

describe('settings', () => {
  test('defaults are safe: loopback, and nothing asks for a server', () => {
    expect(settingsFromEnvironment({ PATH: '/bin' })).toMatchObject({
      bind: '127.0.0.1',
      mqttPort: 1883,
      kafkaBrokers: undefined,
      clickhouseUrl: undefined,
    })
  })

  test('the environment wins over the file, the file over the default', () => {
    writeFileSync(file, '# comment\n\nPENSTOCK_MQTT_PORT = 2883\nPENSTOCK_BIND=127.0.0.2\n')
    const settings = settingsFromEnvironment({ PENSTOCK_CONFIG: file, PENSTOCK_BIND: '127.0.0.3' })
    expect(settings).toMatchObject({ mqttPort: 2883, bind: '127.0.0.3', httpPort: 8080 })
  })

  test('what is shown says where it came from, and no secret', () => {
    writeFileSync(file, 'PENSTOCK_MQTT_PORT=1999\nPENSTOCK_OWNER_KEY=c2VjcmV0LWluLXRoZS1maWxl')
    const shown = shownSettings({
      PENSTOCK_CONFIG: file,
      PENSTOCK_LOG_LEVEL: 'warn',
      PENSTOCK_POSTGRES_URL: 'postgres://penstock:secret-in-an-address@db/penstock',
    })
    const of = (name: string) => shown.find((setting) => setting.name === name)
    expect(of('PENSTOCK_MQTT_PORT')).toMatchObject({ value: 1999, source: 'file' })
    expect(of('PENSTOCK_LOG_LEVEL')).toMatchObject({ value: 'warn', source: 'environment' })
    expect(of('PENSTOCK_BIND')).toMatchObject({ value: '127.0.0.1', source: 'default' })
    expect(of('PENSTOCK_OWNER_KEY')).toMatchObject({ value: null, isSet: true, source: 'file' })
    expect(of('PENSTOCK_POSTGRES_URL')).toMatchObject({ value: null, isSet: true })
    expect(JSON.stringify(shown)).not.toMatch(/secret-in|c2VjcmV0/)
  })

  test.each([
    'PENSTOCK_CLICKHOUSE_URL',
    'PENSTOCK_CONTROL_URL',
    'PENSTOCK_KAFKA_OAUTH_URL',
    'PENSTOCK_UPLOADS_S3_ENDPOINT',
  ])('%s is shown, so it may not name a user or password, and of what is asked of it nothing is shown', (name) => {
    for (const address of [
      'https://me:hidden@host',
      'http://hidden-token@host:1/path',
      'htp://:hidden@host',
      'https://me:hidden/hid?den@host',
      'me:hidden@host:8443',
    ]) {
      const fault = faultsOf({ [name]: address })
      expect(fault).toContain(`${name}=`)
      expect(fault).toContain('…@host')
      expect(fault).not.toMatch(/hid|den/)
    }
    expect(faultsOf({ [name]: 'https://me:hidden@host' })).toContain('settings of their own')
    const shown = shownSettings({ [name]: 'https://host:8443/path?token=hidden' }).find((each) => each.name === name)
    expect(shown?.value).toBe('https://host:8443/path?…')
  })

  test('nothing that is shown holds credentials, also where an address is not expected', () => {
    const shown = JSON.stringify(
      shownSettings({
        PENSTOCK_UPLOADS: 's3://key:hidden@bucket/prefix',
        PENSTOCK_KAFKA_OAUTH_SCOPE: 'https://scope.example/?code=hidden api://other/.default',
      }),
    )
    expect(shown).toContain('s3://…@bucket/prefix')
    expect(shown).toContain('https://scope.example/?… api://other/.default')
    expect(shown).not.toContain('hidden')
    for (const scheme of ['', 'kafka://'])
      expect(faultsOf({ PENSTOCK_KAFKA_BROKERS: `${scheme}me:hidden@broker:9092` })).toContain(
        `PENSTOCK_KAFKA_BROKERS=${scheme}…@broker:9092:`,
      )
  })

  test('no secret is shown, whichever way it was given', () => {
    const secretFile = join(folder, 'every-secret')
    const secrets = Object.values<Setting>(settingsTable).filter(isSecret)
    for (const setting of secrets) {
      const { env } = setting
      expect(shownSettings({}).find(({ name }) => name === env)).toMatchObject({ value: null, isSet: false })
      const value = setting.kind === 'url' ? `${setting.schemes[0]}://me:hidden@host/hidden` : 'hidden'
      writeFileSync(secretFile, value)
      for (const environment of [{ [env]: value }, { [secretFileEnv(env)]: secretFile }]) {
        const shown = shownSettings(environment)
        expect(shown.find(({ name }) => name === env)).toMatchObject({ value: null, isSet: true })
        expect(JSON.stringify(shown)).not.toContain('hidden')
      }
    }
  })

  test('an empty text is as good as none', () => {
    expect(settingsFromEnvironment({ PENSTOCK_KAFKA_BROKERS: '' }).kafkaBrokers).toBeUndefined()
  })

  test('all faults are named at once, with what is allowed', () => {
    writeFileSync(file, 'no equals sign\n')
    const text = faultsOf({
      PENSTOCK_CONFIG: file,
      PENSTOCK_MQTT_PORT: '70000',
      PENSTOCK_PARTITIONS: '1.5',
      PENSTOCK_LOG_LEVEL: 'loud',
      PENSTOCK_MQTT_PROT: '1',
    })
    expect(text).toContain(`${file} line 1: expected PENSTOCK_NAME=value`)
    expect(text).toContain('PENSTOCK_MQTT_PORT=70000: allowed is an integer from 0 to 65535')
    expect(text).toContain('PENSTOCK_PARTITIONS=1.5: allowed is an integer')
    expect(text).toContain('PENSTOCK_LOG_LEVEL=loud: allowed is one of error, warn, info, debug')
    expect(text).toMatch(/PENSTOCK_MQTT_PROT is not a setting; near it: .*PENSTOCK_MQTT_PORT/)
  })

  test.each([
    ['', 'an integer'],
    ['0x10', 'an integer'],
    ['-1', 'an integer'],
    ['1e3', 'an integer'],
  ])('a port of "%s" is read as a number or refused, never guessed', (text) => {
    const value = Number(text)
    if (text.trim() !== '' && Number.isInteger(value) && value >= 0) {
      expect(settingsFromEnvironment({ PENSTOCK_MQTT_PORT: text }).mqttPort).toBe(value)
    } else expect(faultsOf({ PENSTOCK_MQTT_PORT: text })).toContain('PENSTOCK_MQTT_PORT')
  })

  test.each([
    ['the environment', (line: string, path: string) => ({ [line]: path })],
    [
      'the settings file',
      (line: string, path: string) => {
        writeFileSync(file, `${line}=${path}\n`)
        return { PENSTOCK_CONFIG: file }
      },
    ],
  ])('a secret may lie in a file of its own, which %s names; a line end behind it is none of it', (_, named) => {
    const secretFile = join(folder, 'secret')
    for (const end of ['', '\n', '\r\n']) {
      writeFileSync(secretFile, `pass word ${end}`)
      const environment = named('PENSTOCK_KAFKA_PASSWORD_FILE', secretFile)
      expect(settingsFromEnvironment(environment).kafkaPassword).toBe('pass word ')
      const shown = shownSettings(environment).find(({ name }) => name === 'PENSTOCK_KAFKA_PASSWORD')
      expect(shown).toMatchObject({ value: null, isSet: true })
      expect(shown?.source).not.toBe('default')
    }
    writeFileSync(secretFile, 'postgres://penstock:secret@db/penstock\n')
    expect(settingsFromEnvironment(named('PENSTOCK_POSTGRES_URL_FILE', secretFile)).postgresUrl).toContain('secret@db')
  })

  test('a secret in a file: of the environment it wins over one of the settings file, however that is given', () => {
    const [first, second] = [join(folder, 'first'), join(folder, 'second')]
    writeFileSync(first, 'first')
    writeFileSync(second, 'second')
    writeFileSync(file, `PENSTOCK_KAFKA_PASSWORD_FILE=${first}\n`)
    const passwordWith = (environment: Record<string, string>) =>
      settingsFromEnvironment({ PENSTOCK_CONFIG: file, ...environment }).kafkaPassword
    expect(passwordWith({})).toBe('first')
    expect(passwordWith({ PENSTOCK_KAFKA_PASSWORD_FILE: second })).toBe('second')
    expect(passwordWith({ PENSTOCK_KAFKA_PASSWORD: 'third' })).toBe('third')
    expect(passwordWith({ PENSTOCK_KAFKA_PASSWORD_FILE: '' })).toBe('first')
  })

  test('a secret in a file that is none is refused with the reason, and not quoted', () => {
    const secretFile = join(folder, 'refused')
    const faultWith = (content: string | Buffer, more: Record<string, string> = {}) => {
      writeFileSync(secretFile, content)
      return faultsOf({ PENSTOCK_KAFKA_PASSWORD_FILE: secretFile, ...more })
    }
    for (const content of ['', '\n', 'one\ntwo', 'zero\0', Buffer.alloc(70_000, 'a'), Buffer.of(0xff, 0x61)]) {
      const fault = faultWith(content)
      expect(fault).toContain('allowed is a file with one line')
      expect(fault).not.toMatch(/two|zero|aaa/)
    }
    expect(faultWith('one', { PENSTOCK_KAFKA_PASSWORD: 'two' })).toContain('are both set')
    expect(faultsOf({ PENSTOCK_OWNER_KEY_FILE: join(folder, 'none') })).toMatch(
      /PENSTOCK_OWNER_KEY_FILE=.*cannot be read/,
    )
    expect(faultsOf({ PENSTOCK_BIND_FILE: secretFile })).toContain('PENSTOCK_BIND_FILE is not a setting')
  })

  test('a file that cannot be read is a fault', () => {
    expect(faultsOf({ PENSTOCK_CONFIG: join(folder, 'none') })).toContain('cannot be read')
  })
})
