import { type KafkaAccess, type KafkaSasl, type KafkaTlsFiles, sendsSecret } from '#pipeline/log/kafka-access.ts'
import { isLoopbackBind } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type Settings, settingsTable } from '#schemas/settings.ts'

export function brokersOf(hosts: string): string[] {
  return hosts.split(',').map((broker) => broker.trim())
}

/** How the settings say that Kafka is reached. @throws SETTINGS_INVALID that names every fault at once */
export function kafkaAccessOf(settings: Settings): KafkaAccess {
  const faults: string[] = []
  const tls = tlsOf(settings, faults)
  const sasl = saslOf(settings, faults)
  if (settings.kafkaBrokers === undefined) {
    if (tls !== undefined || sasl !== undefined)
      faults.push(`${settingsTable.kafkaBrokers.env} is missing: there is TLS or a user for it`)
  } else if (tls === undefined && sasl !== undefined && sendsSecret(sasl)) {
    const far = brokersOf(settings.kafkaBrokers).filter((broker) => !isLoopbackBind(hostOf(broker)))
    if (far.length > 0)
      faults.push(
        `PENSTOCK_KAFKA_SASL=${sasl.mechanism} would send a secret to ${far.join(',')} that everybody on the way can read: set PENSTOCK_KAFKA_TLS=yes`,
      )
  }
  if (faults.length > 0) throw new PenstockError('SETTINGS_INVALID', `settings refused:\n  ${faults.join('\n  ')}`)
  return { ...(tls === undefined ? {} : { tls }), ...(sasl === undefined ? {} : { sasl }) }
}

function hostOf(broker: string): string {
  return broker.slice(0, broker.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1')
}

function tlsOf(settings: Settings, faults: string[]): KafkaTlsFiles | undefined {
  const caFile = settings.kafkaTlsCa
  const certFile = settings.kafkaTlsCert
  const keyFile = settings.kafkaTlsKey
  if ((certFile === undefined) !== (keyFile === undefined))
    faults.push('PENSTOCK_KAFKA_TLS_CERT and PENSTOCK_KAFKA_TLS_KEY must be set together')
  if (settings.kafkaTls === 'no' && caFile === undefined && certFile === undefined) return undefined
  return {
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined || keyFile === undefined ? {} : { client: { certFile, keyFile } }),
  }
}

function saslOf(settings: Settings, faults: string[]): KafkaSasl | undefined {
  const mechanism = settings.kafkaSasl
  const user = settings.kafkaUser
  const password = settings.kafkaPassword
  const tokenUrl = settings.kafkaOauthUrl
  const extensions = extensionsOf(settings.kafkaOauthExtensions, faults)
  const scope = settings.kafkaOauthScope
  if (mechanism !== 'oauthbearer' && (tokenUrl ?? scope ?? extensions) !== undefined)
    faults.push('PENSTOCK_KAFKA_OAUTH_… is for PENSTOCK_KAFKA_SASL=oauthbearer')
  if (mechanism === 'none') {
    if ((user ?? password) !== undefined)
      faults.push(
        'PENSTOCK_KAFKA_USER and PENSTOCK_KAFKA_PASSWORD need a PENSTOCK_KAFKA_SASL that says how they are used',
      )
    return undefined
  }
  if (user === undefined || password === undefined)
    faults.push(`PENSTOCK_KAFKA_SASL=${mechanism} needs PENSTOCK_KAFKA_USER and PENSTOCK_KAFKA_PASSWORD`)
  if (mechanism !== 'oauthbearer') return { mechanism, username: user ?? '', password: password ?? '' }
  if (tokenUrl === undefined) faults.push('PENSTOCK_KAFKA_SASL=oauthbearer needs PENSTOCK_KAFKA_OAUTH_URL')
  else if (isReadOnTheWay(new URL(tokenUrl)))
    faults.push(
      `PENSTOCK_KAFKA_OAUTH_URL=${tokenUrl} would get the client's secret without TLS: beyond loopback it is https://`,
    )
  return {
    mechanism,
    tokenUrl: tokenUrl ?? '',
    clientId: user ?? '',
    clientSecret: password ?? '',
    ...(scope === undefined ? {} : { scope }),
    ...(extensions === undefined ? {} : { extensions }),
  }
}

function isReadOnTheWay({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && !isLoopbackBind(hostname.replace(/^\[(.*)\]$/, '$1'))
}

/** `name=value` behind commas; names are letters (KIP-342). */
function extensionsOf(text: string | undefined, faults: string[]): Record<string, string> | undefined {
  if (text === undefined) return undefined
  const pairs = text.split(',').map((pair) => /^([A-Za-z]+)=([\x21-\x7e\t ]+)$/.exec(pair.trim()))
  if (pairs.includes(null) || pairs.some((pair) => pair?.[1] === 'auth'))
    faults.push(
      `PENSTOCK_KAFKA_OAUTH_EXTENSIONS=${text}: allowed is name=value, several behind commas; names are letters`,
    )
  return Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? '', pair?.[2] ?? '']))
}
