import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type IssuedCertificate, makeCertificate } from '#runtime/certificate-maker.ts'
import { type KafkaForTests, type ListenerForTests, startKafka } from './kafka.ts'

export interface KafkaCertificates {
  /** PEM files: the authority of brokers and clients, and another one that nobody trusts. */
  readonly caFile: string
  readonly foreignCaFile: string
  /** A key and the certificate of 127.0.0.1, as Kafka takes them. */
  readonly brokerFile: string
  readonly client: ClientFiles
  readonly foreignClient: ClientFiles
}

interface ClientFiles {
  readonly certFile: string
  readonly keyFile: string
}

export function writeKafkaCertificates(folder: string): KafkaCertificates {
  const nowMs = Date.now()
  const times = { notBeforeMs: nowMs - 3_600_000, notAfterMs: nowMs + 86_400_000 }
  const written = (name: string, ...pems: readonly string[]): string => {
    const file = join(folder, name)
    writeFileSync(file, pems.join(''), { mode: 0o600 })
    return file
  }
  const clientOf = (name: string, issuer: IssuedCertificate): ClientFiles => {
    const { certificatePem, privateKeyPem } = makeCertificate({ commonName: name, use: 'client', issuer, ...times })
    return { certFile: written(`${name}.pem`, certificatePem), keyFile: written(`${name}.key`, privateKeyPem) }
  }
  const authority = makeCertificate({ commonName: 'Kafka authority', authority: true, ...times })
  const foreign = makeCertificate({ commonName: 'foreign authority', authority: true, ...times })
  const broker = makeCertificate({
    commonName: 'broker',
    hosts: ['127.0.0.1'],
    use: 'server',
    issuer: authority,
    ...times,
  })
  return {
    caFile: written('ca.pem', authority.certificatePem),
    foreignCaFile: written('foreign-ca.pem', foreign.certificatePem),
    brokerFile: written('broker.pem', broker.privateKeyPem, broker.certificatePem),
    client: clientOf('client', authority),
    foreignClient: clientOf('foreign', foreign),
  }
}

/**
 * A real Apache Kafka that asks for what a managed one asks for, of everybody but who comes over its plain listener:
 *
 *   listener `mutual`  TLS with certificates on both sides
 *   listener `users`   TLS, and PLAIN, SCRAM or OAUTHBEARER (which takes tokens that nobody signed, RFC 7519 section 6).
 *                      There is a second user, who has no right that was not given
 */
export interface SecuredKafka extends KafkaCertificates {
  readonly kafka: KafkaForTests
  readonly user: string
  readonly limitedUser: string
  /** Of both. */
  readonly password: string
  stop(): Promise<void>
}

/** How long a session of OAUTHBEARER lasts at most. */
const sessionMsMax = 3_600_000

export async function startSecuredKafka(): Promise<SecuredKafka> {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-secured-'))
  const certificates = writeKafkaCertificates(folder)
  const user = 'penstock'
  const limitedUser = 'limited'
  const password = 'a word=2C and so on'
  const tls = {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': certificates.brokerFile,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': certificates.caFile,
  }
  const listeners: readonly ListenerForTests[] = [
    { name: 'mutual', protocol: 'SSL', settings: { ...tls, 'ssl.client.auth': 'required' } },
    {
      name: 'users',
      protocol: 'SASL_SSL',
      settings: {
        ...tls,
        'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
        'plain.sasl.jaas.config': login(
          'plain.PlainLoginModule',
          `user_${user}="${password}" user_${limitedUser}="${password}"`,
        ),
        'scram-sha-256.sasl.jaas.config': login('scram.ScramLoginModule'),
        'scram-sha-512.sasl.jaas.config': login('scram.ScramLoginModule'),
        'oauthbearer.sasl.jaas.config': login(
          'oauthbearer.OAuthBearerLoginModule',
          'unsecuredLoginStringClaim_sub="broker"',
        ),
        'oauthbearer.connections.max.reauth.ms': String(sessionMsMax),
      },
    },
  ]
  const format = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
    '--add-scram',
    `${mechanism}=[name=${user},password=${password}]`,
  ])
  const removed = () => rmSync(folder, { recursive: true, force: true })
  const settings = {
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': `User:ANONYMOUS;User:${user};User:CN=client`,
  }
  const kafka = await startKafka({ settings, listeners, format }).catch((error: unknown) => {
    removed()
    throw error
  })
  return {
    kafka,
    user,
    limitedUser,
    password,
    ...certificates,
    stop: async () => {
      await kafka.stop()
      removed()
    },
  }
}

function login(module: string, options = ''): string {
  return `org.apache.kafka.common.security.${module} required ${options};`
}

/** A token as `OAUTHBEARER` of the test bed takes it: nobody signed it. */
export function unsignedToken(subject: string, lifeSeconds: number): string {
  const nowSeconds = Math.floor(Date.now() / 1000)
  const parts = [{ alg: 'none' }, { sub: subject, iat: nowSeconds, exp: nowSeconds + lifeSeconds }]
  return `${parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`
}
