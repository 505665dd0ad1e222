import { describe, expect, test } from 'vitest'
import { deviceHostName, formatConnectionString, parseConnectionString } from './connection-string.ts'

describe('connection strings', () => {
  test('are read back as they were written, equals signs of keys included', () => {
    for (const [content, text] of [
      [{ hostName: 'h', deviceId: 'd', sharedAccessKey: 'a+/=' }, 'HostName=h;DeviceId=d;SharedAccessKey=a+/='],
      [
        { hostName: 'h:8883', deviceId: 'd', moduleId: 'm', sharedAccessKey: 'k==' },
        'HostName=h:8883;DeviceId=d;ModuleId=m;SharedAccessKey=k==',
      ],
      [
        { hostName: 'h', sharedAccessKeyName: 'iothubowner', sharedAccessKey: 'k=' },
        'HostName=h;SharedAccessKeyName=iothubowner;SharedAccessKey=k=',
      ],
      [{ hostName: 'h', deviceId: 'd', x509: true }, 'HostName=h;DeviceId=d;x509=true'],
    ] as const) {
      expect(formatConnectionString(content)).toBe(text)
      expect(parseConnectionString(text)).toEqual(content)
      expect(parseConnectionString(` ${text.replace('HostName', 'hostname')};\n`)).toEqual(content)
    }
  })

  test('what is unknown, missing, doubled or empty is refused without repeating it', () => {
    for (const text of [
      '',
      'DeviceId=d',
      'HostName=h;HostName=i',
      'HostName=h;Sekret=secret',
      'HostName=h;DeviceId=',
      'HostName=h;secret',
      'HostName=h;ModuleId=m',
    ]) {
      expect(() => parseConnectionString(text), text).toThrow(
        expect.objectContaining({ code: 'AUTH_CREDENTIALS_MALFORMED', message: expect.not.stringContaining('ecret') }),
      )
    }
  })

  test('name the port of MQTTS where it is known and not the usual one', () => {
    const names = [undefined, 0, 8883, 18_883].map((mqttsPort) => deviceHostName('h', mqttsPort))
    expect(names).toEqual(['h', 'h', 'h', 'h:18883'])
    expect(deviceHostName('h:443', 18_883)).toBe('h:443')
  })
})
