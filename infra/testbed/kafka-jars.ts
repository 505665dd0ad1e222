import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findExecutable } from './executables.ts'
import { cachedFolder, fetchJars, fetchOnce } from './fetch-once.ts'

const pom = fileURLToPath(new URL('./kafka/pom.xml', import.meta.url))

/** What is missing to start Apache Kafka here; `undefined` if nothing is. */
export function kafkaMissing(): string | undefined {
  if (findExecutable('java') === undefined) return 'no Java runtime (17 or later)'
  if (!existsSync(jarFolder()) && findExecutable('mvn') === undefined) return 'no Maven to fetch its jars'
  return undefined
}

/** Class path of a Kafka broker. The jars are fetched once by Maven and kept in `.cache/` (or `PENSTOCK_TESTBED_CACHE`). */
export async function kafkaClassPath(): Promise<string> {
  const folder = jarFolder()
  await fetchOnce(folder, (fresh) => fetchJars(pom, fresh))
  return join(folder, '*')
}

function jarFolder(): string {
  const version = /<kafka\.version>(.*)<\/kafka\.version>/.exec(readFileSync(pom, 'utf8'))?.[1]
  return cachedFolder(`kafka-${version}`)
}
