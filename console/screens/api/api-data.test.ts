import { expect, test } from 'vitest'
import { formOf, requestOf } from './api-data.ts'

const parameter = (name: string, place: string) => ({ name, in: place, required: false, description: undefined })

test('what was typed goes encoded into path and query; what is empty is left out', () => {
  const parameters = [
    parameter('device', 'path'),
    parameter('top', 'query'),
    parameter('none', 'query'),
    parameter('If-Match', 'header'),
  ]
  const values = { device: '../a b?/#', top: '5&x=1', none: '', 'If-Match': '*' }
  expect(requestOf('/devices/{device}/modules', parameters, values)).toEqual({
    address: '/devices/..%2Fa%20b%3F%2F%23/modules?top=5%26x%3D1',
    headers: { 'If-Match': '*' },
  })
})

test('a form has what the schema names, also where that is told elsewhere, and ends where schemas go round', () => {
  const schemas = {
    Device: {
      type: 'object',
      properties: {
        deviceId: { type: 'string' },
        status: { type: 'string', enum: ['enabled', 'disabled'] },
        capabilities: { anyOf: [{ type: 'object', properties: { iotEdge: { type: 'boolean' } } }, { type: 'null' }] },
        parents: { type: 'array', items: { type: 'integer' } },
      },
    },
    Round: { type: 'object', properties: { again: { $ref: '#/components/schemas/Round' } } },
  }
  expect(formOf({ $ref: '#/components/schemas/Device' }, schemas)).toEqual({
    deviceId: '',
    status: 'enabled',
    capabilities: { iotEdge: false },
    parents: [0],
  })
  expect(JSON.stringify(formOf({ $ref: '#/components/schemas/Round' }, schemas))).toBe(
    '{"again":{"again":{"again":null}}}',
  )
})
