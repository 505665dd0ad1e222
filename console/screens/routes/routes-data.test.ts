import { expect, test } from 'vitest'
import { documentText, textInForce } from './routes-data.ts'

test('what is typed while a document is put in force is not replaced by it', () => {
  const inForce = { whole: { routes: [], endpoints: [{ name: 'hook', secret: { isSet: true } }] } }
  const saved = '{"endpoints":[{"name":"hook","secret":"s"}]}'
  expect(textInForce(saved, saved, inForce)).toBe(documentText(inForce))
  expect(textInForce(`${saved} `, saved, inForce)).toBe(`${saved} `)
  expect(textInForce('mine', undefined, inForce)).toBe(documentText(inForce))
})
