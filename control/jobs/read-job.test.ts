import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { readJob, readTwinUpdate } from './read-job.ts'

const nowMs = Date.parse('2026-01-01T00:00:00Z')
const sent = {
  jobId: 'job',
  type: 'scheduleDeviceMethod',
  cloudToDeviceMethod: { methodName: 'reboot', payload: { in: 5 }, responseTimeoutInSeconds: 30 },
  queryCondition: "tags.hall = 'a'",
  startTime: null,
  maxExecutionTimeInSeconds: 60,
}
const read = (changes: object, id = 'job') =>
  readJob(id, Buffer.from(JSON.stringify({ ...sent, ...changes })), () => {}, nowMs)

describe('a job as it is sent', () => {
  test('is what SDKs of the hub send', () => {
    expect(read({})).toEqual({
      id: 'job',
      type: 'scheduleDeviceMethod',
      condition: "tags.hall = 'a'",
      content: JSON.stringify(sent.cloudToDeviceMethod),
      startAtMs: undefined,
      executionSeconds: 60,
    })
    const updateTwin = { etag: '*', properties: { desired: { on: true } } }
    const job = read({ type: 'scheduleUpdateTwin', updateTwin, startTime: '2026-01-02T00:00:00.000Z' })
    expect(job).toMatchObject({ content: JSON.stringify(updateTwin), startAtMs: nowMs + 86_400_000 })
    expect(readTwinUpdate(job.content)).toEqual({ patch: { desired: { on: true } }, ifMatch: undefined })
    expect(readTwinUpdate('{"etag":"AAAAAAAAAAE=","tags":{}}').ifMatch).toBe('AAAAAAAAAAE=')
  })

  test.each([
    [{ jobId: 'other' }, /jobId differs/],
    [{ type: 'export' }, /type must be scheduleUpdateTwin or scheduleDeviceMethod/],
    [{ type: 'scheduleUpdateTwin' }, /has an object updateTwin/],
    [{ type: 'scheduleUpdateTwin', updateTwin: { etag: '*' } }, /must have tags/],
    [{ type: 'scheduleUpdateTwin', updateTwin: { tags: { 'a.b': 1 } } }, /tags has a key/],
    [{ cloudToDeviceMethod: { methodName: 'a/b' } }, /methodName must be/],
    [{ queryCondition: '' }, /queryCondition must be/],
    [{ queryCondition: undefined }, /queryCondition must be/],
    [{ startTime: 'soon' }, /startTime must be/],
    [{ startTime: '2030-01-01T00:00:00Z' }, /within a year/],
    [{ maxExecutionTimeInSeconds: 0 }, /from 1 to/],
    [{ maxExecutionTimeInSeconds: limits.jobExecutionSecondsMax + 1 }, /from 1 to/],
  ])('%o is refused, with what is allowed', (changes, reason) => {
    expect(() => read(changes)).toThrow(reason)
  })

  test('a payload has as many levels as that of a call, and no more, however many there are in its bytes', () => {
    const text = JSON.stringify({ ...sent, cloudToDeviceMethod: { methodName: 'm', payload: 'here' } })
    const call = (depth: number) => {
      const payload = `${'['.repeat(depth)}${']'.repeat(depth)}`
      return readJob('job', Buffer.from(text.replace('"here"', payload)), () => {}, nowMs)
    }
    expect(call(limits.methodPayloadDepthMax).type).toBe('scheduleDeviceMethod')
    for (const depth of [limits.methodPayloadDepthMax + 1, 100_000]) expect(() => call(depth)).toThrow(/levels deep/)
  })

  test('an id is what can be a device id, and not the path of the list', () => {
    for (const id of ['query', '', 'a b', 'a/b', 'x'.repeat(129)])
      expect(() => read({ jobId: undefined }, id)).toThrow()
    expect(read({ jobId: undefined }, 'x'.repeat(128)).id).toHaveLength(128)
  })
})
