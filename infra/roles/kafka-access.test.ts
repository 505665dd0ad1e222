import { expect, it } from 'vitest'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { kafkaAccessOf } from './kafka-access.ts'

const accessOf = (environment: Record<string, string>, brokers = 'kafka.example:9093') =>
  kafkaAccessOf(
    settingsFromEnvironment({
      ...(brokers === '' ? {} : { PENSTOCK_KAFKA_BROKERS: brokers }),
      ...Object.fromEntries(Object.entries(environment).map(([name, value]) => [`PENSTOCK_KAFKA_${name}`, value])),
    }),
  )
const user = { USER: 'u', PASSWORD: 'p' }
const token = { ...user, SASL: 'oauthbearer', TLS: 'yes', OAUTH_URL: 'https://id.example/token' }

it.each<[string, Record<string, string>, string, object]>([
  ['nothing', {}, 'kafka.example:9092', {}],
  ['nothing, and no Kafka', {}, '', {}],
  ['TLS', { TLS: 'yes' }, 'kafka.example:9093', { tls: {} }],
  ['TLS by its file', { TLS_CA: 'ca.pem' }, 'kafka.example:9093', { tls: { caFile: 'ca.pem' } }],
  [
    'a certificate',
    { TLS_CERT: 'c.pem', TLS_KEY: 'c.key' },
    'kafka.example:9093',
    { tls: { client: { certFile: 'c.pem', keyFile: 'c.key' } } },
  ],
  [
    'a user over TLS',
    { ...user, TLS: 'yes', SASL: 'plain' },
    'kafka.example:9093',
    { tls: {}, sasl: { mechanism: 'plain', username: 'u', password: 'p' } },
  ],
  [
    'a secret that stays on this machine',
    { ...user, SASL: 'plain' },
    '127.0.0.1:9092, localhost:9092,[::1]:9092',
    { sasl: { mechanism: 'plain', username: 'u', password: 'p' } },
  ],
  [
    'a password that is never sent',
    { ...user, SASL: 'scram-sha-512' },
    'kafka.example:9092',
    { sasl: { mechanism: 'scram-sha-512', username: 'u', password: 'p' } },
  ],
  [
    'a token with its extensions',
    { ...token, OAUTH_SCOPE: 's', OAUTH_EXTENSIONS: 'logicalCluster=lkc-1, identityPoolId=pool=1' },
    'kafka.example:9093',
    {
      tls: {},
      sasl: {
        mechanism: 'oauthbearer',
        tokenUrl: 'https://id.example/token',
        clientId: 'u',
        clientSecret: 'p',
        scope: 's',
        extensions: { logicalCluster: 'lkc-1', identityPoolId: 'pool=1' },
      },
    },
  ],
])('%s is what the log is opened with', (_, environment, brokers, expected) => {
  expect(accessOf(environment, brokers)).toEqual(expected)
})

it.each<[string, Record<string, string>, string, RegExp]>([
  ['TLS without Kafka', { TLS: 'yes' }, '', /PENSTOCK_KAFKA_BROKERS is missing/],
  ['a certificate without its key', { TLS_CERT: 'c.pem' }, 'k:1', /TLS_CERT and PENSTOCK_KAFKA_TLS_KEY/],
  ['a key without its certificate', { TLS_KEY: 'c.key' }, 'k:1', /TLS_CERT and PENSTOCK_KAFKA_TLS_KEY/],
  ['a password without a mechanism', { PASSWORD: 'p' }, 'k:1', /need a PENSTOCK_KAFKA_SASL/],
  ['a mechanism without a password', { SASL: 'scram-sha-256', USER: 'u' }, 'k:1', /needs PENSTOCK_KAFKA_USER and/],
  ['a password in clear', { ...user, SASL: 'plain' }, '127.0.0.1:1,k:1', /would send a secret to k:1 .*TLS=yes/],
  ['a password in clear over IPv6', { ...user, SASL: 'plain' }, '[fd00::1]:1', /would send a secret to \[fd00::1\]:1/],
  ['a token in clear', { ...token, TLS: 'no' }, 'k:1', /would send a secret to k:1 .*TLS=yes/],
  ['a token from nowhere', { ...token, OAUTH_URL: '' }, 'k:1', /needs PENSTOCK_KAFKA_OAUTH_URL/],
  ["a client's secret in clear", { ...token, OAUTH_URL: 'http://id.example/t' }, 'k:1', /without TLS: .*https/],
  ['a token endpoint for nothing', { OAUTH_URL: 'https://id.example/t' }, 'k:1', /is for PENSTOCK_KAFKA_SASL=oauth/],
  ['extensions that cannot be sent', { ...token, OAUTH_EXTENSIONS: 'a=b,auth=c' }, 'k:1', /OAUTH_EXTENSIONS=/],
])('%s stops the start, by name', (_, environment, brokers, text) => {
  expect(() => accessOf(environment, brokers)).toThrow(text)
  expect(() => accessOf(environment, brokers)).toThrow(expect.objectContaining({ code: 'SETTINGS_INVALID' }))
})

it('every fault is named at once', () => {
  const fault = /TLS_CERT and PENSTOCK_KAFKA_TLS_KEY[\s\S]*needs PENSTOCK_KAFKA_USER[\s\S]*OAUTH_URL/
  expect(() => accessOf({ TLS_CERT: 'c.pem', SASL: 'oauthbearer' })).toThrow(fault)
})
