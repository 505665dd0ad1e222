import { causeOf } from '#pipeline/kafka/client.ts'
import { isPenstockError } from '#schemas/errors.ts'

/** What keeps Penstock out of Kafka, from what kafkajs, Node's TLS and the brokers say, and what mends it. */

export interface AccessFault {
  /** Continues "Kafka …". */
  readonly text: string
  /** False: a broker that is just ending or starting looks the same. */
  readonly certain: boolean
}

const tlsCode = { speaksTls: 'KAFKA_SPEAKS_TLS', secret: 'KAFKA_SECRET_WITHOUT_TLS' } as const

export function brokerSpeaksTls(): Error {
  return Object.assign(new Error('the broker answered with an alert of TLS'), { code: tlsCode.speaksTls })
}

export function secretWithoutTls(address: string): Error {
  return Object.assign(new Error(`${address} is another machine`), { code: tlsCode.secret })
}

const untrusted = {
  text: 'has a certificate of an authority that is not trusted here: name that of its authority in PENSTOCK_KAFKA_TLS_CA',
  certain: true,
}
const rights = (right: string): AccessFault => ({ text: `lacks a right for its user: ${right}`, certain: true })

/** By the code of Node's TLS or ours, or by Kafka's name of its error. */
const faults: Readonly<Record<string, AccessFault>> = {
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  CERT_SIGNATURE_FAILURE: untrusted,
  CERT_UNTRUSTED: untrusted,
  CERT_HAS_EXPIRED: { text: 'has a certificate that has expired: renew it at the brokers', certain: true },
  CERT_NOT_YET_VALID: {
    text: "has a certificate that is not valid yet: set the clock, this machine's or that of who issued it",
    certain: true,
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    text: 'has a certificate for other names than it was reached by: use one of its names in PENSTOCK_KAFKA_BROKERS and in advertised.listeners of the brokers',
    certain: true,
  },
  ERR_SSL_WRONG_VERSION_NUMBER: {
    text: 'does not speak TLS there: use its port with TLS, or set PENSTOCK_KAFKA_TLS=no',
    certain: true,
  },
  [tlsCode.speaksTls]: { text: 'speaks TLS there: set PENSTOCK_KAFKA_TLS=yes', certain: true },
  [tlsCode.secret]: {
    text: 'is on another machine, and PENSTOCK_KAFKA_SASL would send a secret there that everybody on the way can read: set PENSTOCK_KAFKA_TLS=yes',
    certain: true,
  },
  ILLEGAL_SASL_STATE: {
    text: 'asks for no user there: use its port with SASL, or set PENSTOCK_KAFKA_SASL=none',
    certain: true,
  },
  UNSUPPORTED_SASL_MECHANISM: {
    text: 'does not have this way to prove a user: set another PENSTOCK_KAFKA_SASL',
    certain: true,
  },
  TOPIC_AUTHORIZATION_FAILED: rights(
    'Describe, DescribeConfigs, Read and Write on the topics, Create where they are missing',
  ),
  GROUP_AUTHORIZATION_FAILED: rights('Read on the groups'),
  CLUSTER_AUTHORIZATION_FAILED: rights('IdempotentWrite on the cluster, before Kafka 3.0, or Create'),
}

const refusedCertificate = {
  text: 'refuses the certificate that it was shown, or was shown none: set PENSTOCK_KAFKA_TLS_CERT and PENSTOCK_KAFKA_TLS_KEY to one that the brokers trust',
  certain: true,
}
const closedHandshake = {
  text: 'closed a connection before TLS was agreed: if its port has no TLS, use the one that has, or set PENSTOCK_KAFKA_TLS=no',
  certain: false,
}
const closedConnection = {
  text: 'closed a connection instead of answering: if its port asks for TLS or a user, set PENSTOCK_KAFKA_TLS and PENSTOCK_KAFKA_SASL',
  certain: false,
}

/** `undefined` if it is another matter. */
export function accessFault(error: unknown): AccessFault | undefined {
  if (!(error instanceof Error)) return undefined
  if (isPenstockError(error))
    return { text: `cannot be asked: ${error.message}`, certain: error.code === 'LOG_ACCESS_REFUSED' }
  const code = 'code' in error ? String(error.code) : ''
  const type = 'type' in error ? String(error.type) : ''
  const known = faults[code] ?? faults[type]
  if (known !== undefined) return known
  if (/^ERR_SSL_.*_ALERT_.*(CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE|ACCESS_DENIED)/.test(code))
    return refusedCertificate
  if (error.name === 'KafkaJSSASLAuthenticationError' || type === 'SASL_AUTHENTICATION_FAILED')
    return refusedUser(error)
  if (code === 'ECONNRESET' && error.message.includes('before secure TLS connection')) return closedHandshake
  return accessFault(causeOf(error)) ?? (error.name === 'KafkaJSConnectionClosedError' ? closedConnection : undefined)
}

function refusedUser({ message }: Error): AccessFault {
  return {
    text: `refuses the user: ${message}; see PENSTOCK_KAFKA_USER, PENSTOCK_KAFKA_PASSWORD and PENSTOCK_KAFKA_SASL`,
    certain: true,
  }
}
