import { expect, test } from 'vitest'
import { requestOf } from './device-requests.ts'

const none = { status: 0, version: undefined }

test.each([
  ['$iothub/twin/GET/?$rid=7', { kind: 'twinRead', requestId: '7', ...none }],
  ['$iothub/twin/GET/?$rid=a-1&x=1', { kind: 'twinRead', requestId: 'a-1', ...none }],
  ['$iothub/twin/PATCH/properties/reported/?$rid=7', { kind: 'twinReport', requestId: '7', ...none }],
  [
    '$iothub/twin/PATCH/properties/reported/?$rid=7&$version=12',
    { kind: 'twinReport', requestId: '7', status: 0, version: 12 },
  ],
  ['$iothub/methods/res/200/?$rid=af', { kind: 'methodAnswer', requestId: 'af', status: 200, version: undefined }],
  ['$iothub/methods/res/-1/?$rid=af', { kind: 'methodAnswer', requestId: 'af', status: -1, version: undefined }],
])('%s is a request', (topic, request) => {
  expect(requestOf(Buffer.from(topic))).toEqual(request)
})

test.each([
  '$iothub/twin/GET/',
  '$iothub/twin/GET/?$rid=',
  '$iothub/twin/res/200/?$rid=7',
  '$iothub/methods/res/x/?$rid=7',
  '$iothub/methods/res/99999999999/?$rid=7',
  '$iothub/methods/POST/reboot/?$rid=7',
  'x/$iothub/twin/GET/?$rid=7',
  'devices/d/messages/events/',
])('%s is none', (topic) => {
  expect(requestOf(Buffer.from(topic))).toBeUndefined()
})

test.each([
  ['$dps/registrations/PUT/iotdps-register/?$rid=7', { kind: 'register', requestId: '7' }],
  [
    '$dps/registrations/GET/iotdps-get-operationstatus/?$rid=8&operationId=5.a.b',
    { kind: 'registrationStatus', requestId: '8', operationId: '5.a.b' },
  ],
])('%s is a request of who registers, and of no device', (topic, request) => {
  expect(requestOf(Buffer.from(topic), true)).toMatchObject(request)
  expect(requestOf(Buffer.from(topic))).toBeUndefined()
})

test.each(['$iothub/twin/GET/?$rid=1', '$iothub/methods/res/200/?$rid=1', '$dps/registrations/PUT/iotdps-register/'])(
  '%s is no request of who registers',
  (topic) => expect(requestOf(Buffer.from(topic), true)).toBeUndefined(),
)
