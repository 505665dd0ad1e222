/** What the routes of InfluxDB's clients say of themselves. */
import { aCount, aText, choiceOf, listOf, named, recordOf } from '#runtime/api/shapes.ts'
import { bytes, gives, nothing, type RouteTold } from '#runtime/api/told.ts'

const fault = named(
  'LineProtocolFault',
  recordOf(
    {},
    {
      ...{ code: aText, message: aText, error: aText, line: aCount, stored: aCount, dropped: aCount },
      data: listOf(recordOf({ line_number: aCount, error_message: aText, original_line: aText })),
    },
  ),
)

export const writeTold: RouteTold = {
  summary: 'Stores points in the line protocol of InfluxDB, each as a message; answered once all of them are durable',
  query: {
    precision: 'of times: ns (default), us, ms, s, m or h',
    bucket: 'the device, where neither path nor credentials name one; in version 1 db',
    u: 'the device, in version 1',
    p: 'its key or token, in version 1',
  },
  headers: {
    'Content-Encoding': 'gzip or deflate',
    Authorization: 'Token {device}:{key or token}; also Bearer and Basic',
  },
  asked: bytes('text/plain'),
  answered: {
    204: nothing('all points are on the log'),
    400: gives('some lines or all cannot be read; the others are on the log', fault),
    401: gives('not allowed', fault),
    403: gives('the device is disabled', fault),
    413: gives('more than one request may hold', fault),
    415: gives('a content coding that is not read', fault),
    429: gives('more than the quota allows', fault),
    503: gives('the edge cannot take more at the moment', fault),
  },
  allowed: 'the device itself, by token or certificate; where no identities are required, anybody',
}

export const noQueriesTold: RouteTold = {
  summary: 'For clients of InfluxDB 1 that want to make their database first: nothing is queried or made here',
  answered: { 404: gives('not done', fault) },
}

export const pingTold: RouteTold = {
  summary: 'For clients of InfluxDB that ask before they write',
  answered: { 204: nothing('it is here') },
}

const health = named('InfluxHealth', recordOf({ name: aText, message: aText, status: choiceOf(['pass', 'fail']) }))

export const healthTold: RouteTold = {
  summary: 'For clients of InfluxDB that ask whether they may write',
  answered: { 200: gives('they may', health), 503: gives('not at the moment', health) },
}
