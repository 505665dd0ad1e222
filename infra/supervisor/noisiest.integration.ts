import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startPenstock } from '#infra/testbed/penstock.ts'

test('the noisiest devices are those of all edge processes, whichever is asked', { timeout: 60_000 }, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-noisiest-'))
  const penstock = await startPenstock(dataDir, { PENSTOCK_EDGE_PROCESSES: '2' })
  onTestFinished(async () => {
    await penstock.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  // Each on a connection of its own, so that the kernel spreads them over the processes.
  const headers = { Connection: 'close' }
  const sent = 40
  for (let count = 0; count < sent; count++) {
    const url = `${penstock.httpUrl}/devices/loud/messages/events`
    expect((await fetch(url, { method: 'POST', body: 'x', headers })).status).toBe(204)
  }
  const amount = async (): Promise<number> => {
    const answer = await fetch(`${penstock.httpUrl}/api/noisiest?top=1`, { headers })
    const { byMessages } = (await answer.json()) as { byMessages: { deviceId: string; amount: number }[] }
    expect(byMessages.map(({ deviceId }) => deviceId)).toEqual(['loud'])
    return byMessages[0]?.amount ?? 0
  }
  await expect.poll(amount, { timeout: 30_000 }).toBe(sent)
  for (let count = 0; count < 10; count++) expect(await amount()).toBe(sent)
})
