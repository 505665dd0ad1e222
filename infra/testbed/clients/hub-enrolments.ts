/**
 * The hub's own service SDK of provisioning for Node, unchanged: what an operator does with enrolments. Prints what it was answered as JSON.
 *
 *   node hub-enrolments.ts <connection string of the provisioning service> <PEM file of an authority>
 */
import { readFileSync } from 'node:fs'
import { ProvisioningServiceClient } from 'azure-iot-provisioning-service'

const [connectionString = '', authorityFile = ''] = process.argv.slice(2)
const client = ProvisioningServiceClient.fromConnectionString(connectionString)
const attestation = { type: 'symmetricKey' } as const

/** Ids of the next page; without a callback the SDK begins anew unless it is told where it was. */
async function page(query: ReturnType<typeof client.createIndividualEnrollmentQuery>): Promise<string[]> {
  const { responseBody } = (await query.next(query.continuationToken)) as unknown as {
    responseBody: { registrationId: string }[]
  }
  return responseBody.map(({ registrationId }) => registrationId)
}

async function all(): Promise<object> {
  const { responseBody: group } = await client.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: 'keys',
    attestation,
    initialTwin: { tags: { line: 7 }, properties: { desired: { speed: 3 } } },
  } as never)
  const primary = { certificate: readFileSync(authorityFile, 'utf8') }
  const { responseBody: certified } = await client.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: 'certificates',
    attestation: { type: 'x509', x509: { signingCertificates: { primary } } },
  } as never)
  const { responseBody: single } = await client.createOrUpdateIndividualEnrollment({
    registrationId: 'single',
    deviceId: 'single-device',
    attestation,
  } as never)
  const { responseBody: keys } = await client.getIndividualEnrollmentAttestationMechanism('single')
  const { responseBody: read } = await client.getIndividualEnrollment('single')
  const { responseBody: updated } = await client.createOrUpdateIndividualEnrollment({
    ...read,
    capabilities: { iotEdge: true },
  })
  const stale = await client.createOrUpdateIndividualEnrollment(read).then(
    () => 'accepted',
    (error: Error) => error.name,
  )
  const bulk = await new Promise((resolve, reject) =>
    client.runBulkEnrollmentOperation(
      {
        mode: 'create',
        enrollments: ['a', 'b', 'c'].map((id) => ({ registrationId: `bulk-${id}`, attestation })),
      } as never,
      (error, result) => (error ? reject(error) : resolve(result)),
    ),
  )
  const query = client.createIndividualEnrollmentQuery({ query: 'SELECT * FROM enrollments' } as never, 2)
  const listed: string[] = []
  while (query.hasMoreResults) listed.push(...(await page(query)))
  await client.deleteIndividualEnrollment('bulk-a')
  const gone = await client.getIndividualEnrollment('bulk-a').then(
    () => 200,
    (error: Error & { readonly response?: { readonly statusCode: number } }) => error.response?.statusCode,
  )
  return { group, certified, single, keys, updated, stale, bulk, listed, gone }
}

process.stdout.write(`${JSON.stringify(await all())}\n`)
