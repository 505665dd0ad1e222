import { describe, expect, test } from 'vitest'
import { PatternTree } from './router.ts'

describe('routes by path', () => {
  const tree = new PatternTree<string>()
  for (const [method, pattern] of [
    ['GET', '/'],
    ['GET', '/devices'],
    ['GET', '/devices/query'],
    ['PUT', '/devices/:id'],
    ['GET', '/devices/:id'],
    ['POST', '/devices/:id/modules/:module/events'],
    ['GET', '/static/*'],
    ['ANY', '/devices/*'],
    ['HEAD', '/devices'],
  ] as const)
    tree.add(method, pattern, `${method} ${pattern}`)
  const found = (method: string, path: string) => {
    const parameters: string[] = []
    return [tree.find(method, path, parameters), ...parameters]
  }

  test.each([
    ['GET', '/', ['GET /']],
    ['GET', '/devices', ['GET /devices']],
    ['GET', '/devices/query', ['GET /devices/query']],
    ['GET', '/devices/a%2Fb', ['GET /devices/:id', 'a%2Fb']],
    ['PUT', '/devices/query', ['PUT /devices/:id', 'query']],
    ['POST', '/devices/d/modules/m/events', ['POST /devices/:id/modules/:module/events', 'd', 'm']],
    ['POST', '/devices/d/modules/m/other', ['ANY /devices/*']],
    ['GET', '/devices/', ['ANY /devices/*']],
    ['DELETE', '/devices/d', ['ANY /devices/*']],
    ['GET', '/static', ['GET /static/*']],
    ['GET', '/static/', ['GET /static/*']],
    ['GET', '/static/a/b', ['GET /static/*']],
    ['HEAD', '/static/a', ['GET /static/*']],
    ['HEAD', '/devices', ['HEAD /devices']],
    ['GET', '/static/../devices', ['GET /static/*']],
    ['GET', '/Devices', [undefined]],
    ['GET', '//devices', [undefined]],
    ['POST', '/static/a', [undefined]],
    ['OPTIONS', '*', [undefined]],
  ] as const)('%s %s', (method, path, expected) => {
    expect(found(method, path)).toEqual(expected)
  })

  test('the methods of a path are told, and one pattern has one route of a method', () => {
    expect(tree.methodsOf('/static/a')).toEqual(['GET', 'HEAD'])
    expect(tree.methodsOf('/nothing')).toEqual([])
    expect(() => tree.add('GET', '/devices/:other', 'again')).toThrow(/two routes/)
  })
})
