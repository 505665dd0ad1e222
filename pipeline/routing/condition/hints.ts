/** What somebody probably meant whose condition compiles to something else, or not at all. */
import { closest } from './closest.ts'
import { functions } from './functions.ts'
import { constantWords } from './lexer.ts'
import { type Finding, shortened } from './problem.ts'
import { isDocumented, systemPropertyNames } from './system-properties.ts'
import type { CallNode, Node, PropertyNode, SystemPropertyNode } from './tree.ts'

/** A name that is legal, and probably not meant as one. */
export function warningOfName({ name, span }: PropertyNode): Finding | undefined {
  const word = constantIn(name)
  if (word !== undefined) return { message: isRead(name), span, suggestion: `did you mean ${word}?` }
  if (isSum(name)) return { message: isRead(name), span, suggestion: blanks }
  if (/^[‘’“”]/.test(name)) return { message: isRead(name), span, suggestion: `put texts between ' or "` }
  return undefined
}

/** An application property may have such a name too. */
export function warningOfSystemName({ name, span }: SystemPropertyNode): Finding | undefined {
  if (isDocumented(name)) return undefined
  const message = `the hub documents no system property ${shortened(name)}`
  const meant = closest(name, systemPropertyNames)
  return meant === undefined ? { message, span } : { message, span, suggestion: `did you mean $${meant}?` }
}

/** For operands that are not of the type that they should be. */
export function meantByOperands(operands: readonly Node[], expected: 'number' | 'other'): string | undefined {
  for (const operand of operands) {
    const meant = operand.kind === 'property' ? meantByName(operand.name) : undefined
    if (meant !== undefined) return meant
  }
  if (expected !== 'number') return undefined
  const property = operands.find((operand) => operand.kind === 'property' || operand.kind === 'system')
  if (property === undefined) return undefined
  const name = shortened(property.kind === 'system' ? `$${property.name}` : property.name)
  return `properties are text: write as_number(${name})${/[-+*%]/.test(name) ? `, or ${blanks}` : ''}`
}

export function meantByFunction({ name }: CallNode): string | undefined {
  const meant = name === '!' ? 'NOT' : closest(name, [...functions.keys(), 'twin_change_includes'])
  return meant && `did you mean ${meant}?`
}

const blanks = 'put blanks around operators'
const isRead = (name: string): string => `${shortened(name)} is read as a property of that name`
/** `5+3`. A hyphen between words is no sign of a sum: `fan-speed`. */
const isSum = (name: string): boolean => /^[\d.]+[-+*%][\d.]+$/.test(name)
const constantIn = (name: string): string | undefined => constantWords.find((word) => word === name.toLowerCase())

function meantByName(name: string): string | undefined {
  const word = constantIn(name)
  if (word !== undefined) return `${name} is read as a property: write ${word}`
  const isPart = isSum(name) || /^[-+*%|&]|[-+*%|&]$/.test(name)
  return isPart ? `${shortened(name)} is one name: ${blanks}` : undefined
}
