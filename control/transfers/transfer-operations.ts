/**
 * Exports and imports of all identities over REST, as the hub has them.
 *
 *   POST   /jobs/create     begins one, once those before it are done
 *   GET    /jobs            all, the newest first
 *   GET    /jobs/{id}       how far it is
 *   DELETE /jobs/{id}       cancels it
 *
 * An export shows the key of every device, and an import replaces them: both are the owner's alone.
 */
import { nameOf } from '#control/rest/addressed.ts'
import type { Operation } from '#control/rest/operation.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import { limits } from '#schemas/limits.ts'
import { readTransfer, transferFault } from './read-transfer.ts'
import { transferTold } from './transfer-told.ts'
import type { NewTransfer, Transfer, TransferContainers, Transfers } from './transfers.ts'

/** Two addresses, and what stands around them. */
const bodyBytesMax = 4 * limits.transferUriBytesMax

export function transferOperations(transfers: Transfers, containers: TransferContainers): Operation[] {
  const own = { right: 'RegistryWrite', ownerOnly: true } as const
  const pattern = '/jobs/:job'
  return [
    {
      method: 'POST',
      pattern: '/jobs/create',
      told: transferTold.create,
      ...own,
      bodyBytesMax,
      run: async (_request, body) => {
        const transfer = readTransfer(body)
        await expectAllowed(transfer, containers)
        return jsonAnswer(200, transferDocument(await transfers.create(transfer)))
      },
    },
    {
      method: 'GET',
      pattern: '/jobs',
      told: transferTold.list,
      ...own,
      run: async () => jsonAnswer(200, (await transfers.list(limits.transfersListedMax)).map(transferDocument)),
    },
    {
      method: 'GET',
      pattern,
      told: transferTold.get,
      ...own,
      run: async (request) => jsonAnswer(200, transferDocument(await transfers.get(nameOf(request)))),
    },
    {
      method: 'DELETE',
      pattern,
      told: transferTold.cancel,
      ...own,
      run: async (request) => {
        await transfers.cancel(nameOf(request))
        return { status: 204 }
      },
    },
  ]
}

/** @throws JOB_INVALID */
async function expectAllowed({ source, target }: NewTransfer, containers: TransferContainers): Promise<void> {
  for (const address of source === undefined ? [target] : [source, target]) {
    const refusal = await containers.refusal(address)
    if (refusal !== undefined) throw transferFault(refusal)
  }
}

function transferDocument(transfer: Transfer): Readonly<Record<string, unknown>> {
  const { source, target, status, begunAtMs, endedAtMs } = transfer
  return {
    jobId: transfer.id,
    type: transfer.type,
    status: status === 'queued' || status === 'scheduled' ? 'enqueued' : status,
    progress: transfer.percent,
    createdTimeUtc: new Date(transfer.createdAtMs).toISOString(),
    ...(begunAtMs === undefined ? {} : { startTimeUtc: new Date(begunAtMs).toISOString() }),
    ...(endedAtMs === undefined ? {} : { endTimeUtc: new Date(endedAtMs).toISOString() }),
    ...(source && { inputBlobContainerUri: source.containerUri, inputBlobName: source.blob }),
    outputBlobContainerUri: target.containerUri,
    outputBlobName: target.blob,
    excludeKeysInExport: transfer.isWithoutKeys,
    storageAuthenticationType: 'keyBased',
    identitiesDone: transfer.done,
    identitiesRefused: transfer.refused,
    ...(transfer.failure === undefined ? {} : { failureReason: transfer.failure }),
  }
}
