/** How Kafka is reached and who asks there. Plain data: it goes through settings, options and messages between processes. */
export interface KafkaAccess {
  /** `undefined`: without TLS. */
  readonly tls?: KafkaTlsFiles
  /** `undefined`: nobody is asked for a name, or the client's certificate is it. */
  readonly sasl?: KafkaSasl
}

/** PEM files. */
export interface KafkaTlsFiles {
  /** Of the authorities that sign the brokers' certificates; left out: those that Node trusts. */
  readonly caFile?: string
  /** What Penstock shows, where the brokers ask for a certificate. */
  readonly client?: { readonly certFile: string; readonly keyFile: string }
}

export type KafkaSasl = KafkaPassword | KafkaOauth

export interface KafkaPassword {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

/** RFC 7628 with a token of the client credentials grant (RFC 6749 section 4.4). */
export interface KafkaOauth {
  readonly mechanism: 'oauthbearer'
  readonly tokenUrl: string
  readonly clientId: string
  readonly clientSecret: string
  readonly scope?: string
  /** Sent to the brokers beside the token (KIP-342), as some providers ask for. */
  readonly extensions?: Readonly<Record<string, string>>
}

/** True if whoever reads the wire learns what lets them in as this user. SCRAM never sends its password. */
export function sendsSecret({ mechanism }: KafkaSasl): boolean {
  return mechanism === 'plain' || mechanism === 'oauthbearer'
}
