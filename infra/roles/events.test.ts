import { expect, test } from 'vitest'
import type { DeviceEvent } from '#schemas/device-event.ts'
import { recordsTold } from './events.ts'

test('how commands ended, and files that came, become events with what they were and when', () => {
  const events: DeviceEvent[] = []
  const told = recordsTold({ tell: (event) => events.push(event), close: async () => {} })
  const [deviceId, moduleId, atMs] = ['d', 'm', 1_700_000_000_000]
  told?.onFeedback([{ deviceId, moduleId, messageId: 'm-1', generationId: 'g', status: 'Expired', atMs }])
  told?.onFileUploaded([{ deviceId, blobName: 'a/b', bytes: 7, changedAtMs: 1, atMs }])
  const at = '2023-11-14T22:13:20.000Z'
  expect(events).toEqual([
    {
      event: 'commandEnded',
      deviceId,
      moduleId,
      reason: 'Expired',
      details: { messageId: 'm-1', generationId: 'g', at },
    },
    {
      event: 'fileUploaded',
      deviceId,
      moduleId: undefined,
      reason: undefined,
      details: { blobName: 'a/b', bytes: '7', at },
    },
  ])
})

test('where no events are wanted nobody is told', () => {
  expect(recordsTold(undefined)).toBe(undefined)
})
