import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '#runtime/free-ports.ts'
import { findExecutable } from './executables.ts'
import { cachedFolder, fetchJars, fetchOnce } from './fetch-once.ts'
import { ServerProcess } from './server-process.ts'

const pom = fileURLToPath(new URL('./artemis/pom.xml', import.meta.url))
const program = fileURLToPath(new URL('./artemis/Artemis.java', import.meta.url))
/** As the pom names it. */
export const artemisVersion = '2.31.2'
const jarFolder = (): string => cachedFolder(`artemis-${artemisVersion}`)

/** What is missing to start an ActiveMQ Artemis here; `undefined` if nothing is. */
export function artemisMissing(): string | undefined {
  // The program is compiled as it starts.
  if (findExecutable('java') === undefined || findExecutable('javac') === undefined) return 'no Java (17 or later)'
  if (!existsSync(jarFolder()) && findExecutable('mvn') === undefined) return 'no Maven to fetch its jars'
  return undefined
}

/** Class path of a broker, whose jars are fetched once by Maven and kept in `.cache/`. */
export async function fetchArtemis(): Promise<string> {
  await fetchOnce(jarFolder(), (fresh) => fetchJars(pom, fresh))
  return join(jarFolder(), '*')
}

/**
 * The command line of a broker whose jars are there.
 * @param options of Java
 * @param password of its users; left out: it lets everyone in, and drops what is sent to any address
 */
export function artemisCommand(
  folder: string,
  port: number,
  options: readonly string[],
  password?: string,
): readonly string[] {
  const passwords = password === undefined ? [] : [password]
  return ['java', ...options, '-cp', join(jarFolder(), '*'), program, folder, String(port), ...passwords]
}

export interface ArtemisForTests {
  readonly port: number
  /** Of its users `all`, `penstock` and `limited` (see `artemis/Artemis.java`). */
  readonly password: string
  stop(): Promise<void>
}

/** Starts a broker that keeps nothing, on a free loopback port. */
export async function startArtemis(): Promise<ArtemisForTests> {
  await fetchArtemis()
  const folder = mkdtempSync(join(tmpdir(), 'penstock-artemis-'))
  const port = await freePort()
  const password = 'a word=2C and so on'
  const server = new ServerProcess('Artemis', artemisCommand(folder, port, ['-Xmx256m'], password))
  const stop = async (): Promise<void> => {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await server.until(async () => server.output.includes('ready'))
  } catch (error) {
    await stop()
    throw error
  }
  return { port, password, stop }
}
