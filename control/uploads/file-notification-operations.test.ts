import { expect, test } from 'vitest'
import { fileNotificationDocument } from './file-notification-operations.ts'

test('a notification says when the file was changed in whole seconds with their zone, as the SDKs read it', () => {
  const file = {
    ...{ deviceId: 'd1', blobName: 'a.txt', bytes: 5 },
    ...{ changedAtMs: Date.UTC(2026, 0, 31, 12, 0, 1, 999), atMs: Date.UTC(2026, 0, 31, 12, 0, 2, 5) },
  }
  expect(fileNotificationDocument(file, (path) => `https://hub/${path}`)).toEqual({
    deviceId: 'd1',
    blobUri: 'https://hub/d1/a.txt',
    blobName: 'd1/a.txt',
    lastUpdatedTime: '2026-01-31T12:00:01+00:00',
    blobSizeInBytes: 5,
    enqueuedTimeUtc: '2026-01-31T12:00:02.005Z',
  })
})
