/** The hub's own SDKs for Java, in one JVM that runs scenarios (`hub-java/HubClients.java`). */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { findExecutable } from './executables.ts'
import { cachedFolder, fetchJars, fetchOnce, runClient } from './fetch-once.ts'

const sources = join(import.meta.dirname, 'hub-java')

/** The JVM reads no certificates of a store without it. */
const trustStorePassword = 'changeit'
/** Characters of what it says of itself that are kept. */
const errorsLengthMax = 20_000
/** Of programs that run for seconds. */
export const quickStart = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']

/** Why the SDKs cannot be used here; `undefined` if they can. */
export function javaSdkMissing(): string | undefined {
  if (findExecutable('java') === undefined || findExecutable('javac') === undefined) return 'no Java (17 or later)'
  if (!existsSync(jarFolder()) && findExecutable('mvn') === undefined) return 'no Maven to fetch its jars'
  return undefined
}

/** Class path of the SDKs. The jars are fetched once by Maven and kept in `.cache/`. */
export async function javaSdkClassPath(): Promise<string> {
  const folder = jarFolder()
  await fetchOnce(folder, (fresh) => fetchJars(join(sources, 'pom.xml'), fresh))
  return javaSdkJars()
}

/** The same, for those who have fetched them. */
export function javaSdkJars(): string {
  return join(jarFolder(), '*')
}

/** Arguments of a JVM that trusts what is in a store of `makeTrustStore`. */
export function trusting(trustStore: string): string[] {
  return [`-Djavax.net.ssl.trustStore=${trustStore}`, `-Djavax.net.ssl.trustStorePassword=${trustStorePassword}`]
}

/** Class path of the SDKs and of the program, which is compiled once for each of its texts. */
export async function javaClientsClassPath(): Promise<string> {
  const jars = await javaSdkClassPath()
  const programs = filesOf('.java')
  const classes = cachedFolder(`hub-java-${hashOf(['pom.xml', ...programs])}`)
  const files = programs.map((name) => join(sources, name))
  await fetchOnce(classes, (fresh) => runClient('javac', ['-d', fresh, '-cp', jars, ...files]))
  return `${classes}:${jars}`
}

function jarFolder(): string {
  return cachedFolder(`hub-java-jars-${hashOf(['pom.xml'])}`)
}

function filesOf(extension: string): string[] {
  return readdirSync(sources)
    .filter((name) => name.endsWith(extension))
    .sort()
}

function hashOf(names: readonly string[]): string {
  const hash = createHash('sha256')
  for (const name of names) hash.update(readFileSync(join(sources, name)))
  return hash.digest('hex').slice(0, 16)
}

/** A key store that trusts an authority, as the JVM reads it. Made with the JDK's own tool, as a user does. */
export function makeTrustStore(file: string, caFile: string): void {
  const store = ['-keystore', file, '-storepass', trustStorePassword, '-storetype', 'PKCS12']
  execFileSync('keytool', ['-importcert', '-noprompt', '-alias', 'ca', '-file', caFile, ...store], { stdio: 'pipe' })
}

/** How a scenario failed: the SDK's class of the error, and its code. */
export class JavaClientError extends Error {
  override readonly name: string
  readonly code: unknown

  constructor({ name, code, message }: { name: string; code?: unknown; message?: string }) {
    super(`${name} ${code ?? ''}: ${message}`)
    this.name = name
    this.code = code
  }
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (reason: Error) => void
}

/** A JVM with the SDKs. */
export class JavaClients {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #waiting = new Map<number, Waiting>()
  #errors = ''
  #lastId = 0

  /**
   * @param through a command line that runs another one, e.g. that of a `Namespace`
   * @param trustStore see `makeTrustStore`
   */
  static async start(through: readonly string[], trustStore: string): Promise<JavaClients> {
    return new JavaClients([
      ...through,
      'java',
      ...quickStart,
      ...trusting(trustStore),
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-cp',
      await javaClientsClassPath(),
      'HubClients',
    ])
  }

  private constructor([program = '', ...args]: readonly string[]) {
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stderr?.on('data', (text) => {
      this.#errors = `${this.#errors}${text}`.slice(-errorsLengthMax)
    })
    if (this.#child.stdout) createInterface(this.#child.stdout).on('line', (line) => this.#answered(line))
    this.#exited = once(this.#child, 'exit').finally(() => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the JVM ended:\n${this.#errors}`))
    })
  }

  /** What it wrote to standard error, for messages of failed tests. */
  get errors(): string {
    return this.#errors
  }

  /** Runs a scenario. Several may run at the same time. @throws JavaClientError if it fails */
  run<Result>(scenario: string, given: object): Promise<Result> {
    const id = ++this.#lastId
    return new Promise<Result>((resolve, reject) => {
      this.#waiting.set(id, { resolve: (result) => resolve(result as Result), reject })
      this.#child.stdin?.write(`${JSON.stringify({ id, scenario, given })}\n`)
    })
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end()
    await this.#exited
  }

  #answered(line: string): void {
    const { id, result, error } = JSON.parse(line)
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(result)
    else waiting?.reject(new JavaClientError(error))
  }
}
