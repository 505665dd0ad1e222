/**
 * What a test does when a real server is not on this machine: locally its tests are skipped, visibly and with the reason; with
 * `CI=true` they fail, so that nothing goes untested unseen.
 *
 *   const kafka = serverFor('Apache Kafka', kafkaMissing)
 *   describe.skipIf(kafka.skip)(`… ${kafka.note}`, …)
 */
export interface ServerForTests {
  readonly skip: boolean
  /** Empty, or why the tests are skipped; belongs in the name of the suite. */
  readonly note: string
}

/**
 * @param missing names what is missing, or gives `undefined` if the server can be started
 * @throws Error if it is missing and `CI=true`
 */
export function serverFor(name: string, missing: () => string | undefined): ServerForTests {
  const reason = missing()
  if (reason === undefined) return { skip: false, note: '' }
  const note = `${name} cannot be started here: ${reason} (infra/testbed/install.sh installs it on Debian)`
  if (process.env.CI === 'true') throw new Error(note)
  return { skip: true, note: `[skipped: ${note}]` }
}
