import { expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import type { Principal } from '#ingest/session/principal.ts'
import { attachFrame, putToken, rawClient } from './raw-client-fixture.ts'

test('a device whose token is found to be of another is that one no more than before [G-6]', async () => {
  const authenticate = ({ clientId, password }: { clientId: string; password: Uint8Array | undefined }): Principal => ({
    deviceId: String(password) === 'wrong' ? 'd2' : clientId,
    moduleId: undefined,
    expiresAtMs: String(password) === 'wrong' ? 9_000 : 1_000,
  })
  const fixture = edgeFixture({ authenticate })
  const { begin, say, answers, connection } = rawClient(fixture)
  begin()
  say(
    attachFrame(0, 0, '$cbs'),
    attachFrame(0, 1, '/devices/d1/messages/events'),
    putToken(0, 'hub/devices/d1', 'right'),
  )
  await answers()
  say(putToken(1, 'hub/devices/d1', 'wrong'))
  await answers()
  expect([...fixture.edge.sessions.keys()]).toEqual(['d1'])
  connection.onSecond(2_000)
  expect([...fixture.edge.sessions.keys()]).toEqual([])
})
