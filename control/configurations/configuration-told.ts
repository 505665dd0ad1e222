/** What the operations on configurations say of themselves. */
import { ifMatch } from '#control/rest/hub-shapes.ts'
import type { OperationTold } from '#control/rest/told.ts'
import { anObject, aText, listOf, named } from '#runtime/api/shapes.ts'
import { gives, json, nothing } from '#runtime/api/told.ts'

const configuration = named('Configuration', {
  ...anObject,
  properties: { id: aText, targetCondition: aText, content: anObject, metrics: anObject, etag: aText },
})

export const configurationTold = {
  list: {
    summary: 'All configurations',
    query: { top: 'how many' },
    answered: { 200: gives('they', listOf(configuration)) },
  },
  get: {
    summary: 'A configuration, with how many devices it is for and was applied to',
    answered: { 200: gives('it', configuration) },
    faults: ['CONFIGURATION_UNKNOWN'],
  },
  put: {
    summary: 'Makes a configuration; with If-Match, replaces it',
    headers: ifMatch,
    asked: json(configuration),
    answered: { 200: gives('it', configuration) },
    faults: [
      'CONFIGURATION_INVALID',
      'CONFIGURATION_EXISTS',
      'CONFIGURATION_UNKNOWN',
      'CONFIGURATIONS_FULL',
      'REGISTRY_QUERY_INVALID',
      'REGISTRY_ETAG_STALE',
    ],
  },
  delete: {
    summary: 'Ends a configuration: what it set is taken from its devices',
    headers: ifMatch,
    answered: { 204: nothing('done') },
    faults: ['CONFIGURATION_UNKNOWN', 'REGISTRY_ETAG_STALE'],
  },
  testQueries: {
    summary: 'What is wrong with a condition and with metrics',
    asked: json(anObject),
    answered: { 200: gives('faults, by query', anObject) },
  },
  apply: {
    summary: 'Sets the desired properties of a device and its modules, once',
    asked: json(anObject),
    answered: { 204: nothing('done') },
    faults: ['CONFIGURATION_INVALID', 'REGISTRY_DEVICE_UNKNOWN', 'REGISTRY_MODULE_UNKNOWN', 'TWIN_INVALID'],
  },
} as const satisfies Readonly<Record<string, OperationTold>>
