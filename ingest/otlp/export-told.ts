/** What the routes of OTLP say of themselves. */
import { aCount, anObject, aText, named, recordOf } from '#runtime/api/shapes.ts'
import { gives, json, type RouteTold } from '#runtime/api/told.ts'

const fault = named('OtlpStatus', recordOf({ code: aCount, message: aText }))

export const noTracesTold: RouteTold = {
  summary: 'Traces of OTLP/HTTP are not taken; said so that no client sends them again',
  answered: { 404: gives('they are not taken', fault) },
}

export const exportTold: RouteTold = {
  summary: 'Stores data points or log records of OTLP/HTTP, each as a message; answered once all of them are durable',
  headers: {
    'Content-Type': 'application/x-protobuf or application/json; answers are encoded likewise',
    'Content-Encoding': 'gzip or deflate',
    Authorization: 'Bearer {device}:{key or token}; also Token and Basic',
  },
  asked: json(anObject),
  answered: {
    200: gives('what could be stored is on the log; partialSuccess tells the rest', anObject),
    400: gives('the body cannot be read; nothing was stored', fault),
    401: gives('not allowed', fault),
    403: gives('the device is disabled', fault),
    413: gives('more than one request may hold', fault),
    415: gives('a content type or coding that is not read', fault),
    429: gives('more than the quota allows', fault),
    503: gives('the edge cannot take more at the moment', fault),
  },
  allowed: 'the device itself, by token or certificate; where no identities are required, anybody',
}
