/** The part of JSON Schema that a workload file needs, with faults that name the place and what is allowed there. */
export interface JsonSchema {
  readonly type: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean'
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: false
  readonly items?: JsonSchema
  readonly minItems?: number
  readonly maxItems?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly enum?: readonly (string | number)[]
  readonly pattern?: string
}

/** All faults of a value, each as `workloads[0].rate: …`; none if it is valid. */
export function schemaFaults(schema: JsonSchema, value: unknown, place = ''): string[] {
  const at = place === '' ? 'the file' : place
  if (!isOfType(schema.type, value)) return [`${at}: expected ${article(schema.type)}, found ${kindOf(value)}`]
  if (Array.isArray(value)) return arrayFaults(schema, value, place)
  if (typeof value === 'object' && value !== null) return objectFaults(schema, value, place)
  const faults: string[] = []
  if (schema.enum && !schema.enum.some((allowed) => allowed === value))
    faults.push(`${at}: ${JSON.stringify(value)} is not one of ${schema.enum.join(', ')}`)
  if (typeof value === 'number' && (value < (schema.minimum ?? -Infinity) || value > (schema.maximum ?? Infinity)))
    faults.push(`${at}: ${value} is not from ${schema.minimum ?? '−∞'} to ${schema.maximum ?? '∞'}`)
  if (typeof value === 'string' && schema.pattern !== undefined && !new RegExp(schema.pattern).test(value))
    faults.push(`${at}: ${JSON.stringify(value)} does not match ${schema.pattern}`)
  return faults
}

function objectFaults(schema: JsonSchema, value: object, place: string): string[] {
  const properties = schema.properties ?? {}
  const inside = (name: string) => (place === '' ? name : `${place}.${name}`)
  const faults: string[] = []
  for (const name of schema.required ?? []) if (!Object.hasOwn(value, name)) faults.push(`${inside(name)}: is missing`)
  for (const [name, member] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined
    if (known) faults.push(...schemaFaults(known, member, inside(name)))
    else if (schema.additionalProperties === false)
      faults.push(`${inside(name)}: is not known; there is ${Object.keys(properties).join(', ')}`)
  }
  return faults
}

function arrayFaults(schema: JsonSchema, value: readonly unknown[], place: string): string[] {
  const { items, minItems = 0, maxItems = Infinity } = schema
  if (value.length < minItems || value.length > maxItems)
    return [`${place}: has ${value.length} entries, allowed are ${minItems} to ${maxItems}`]
  return items ? value.flatMap((item, index) => schemaFaults(items, item, `${place}[${index}]`)) : []
}

function isOfType(type: JsonSchema['type'], value: unknown): boolean {
  switch (type) {
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isInteger(value)
    case 'number':
      return typeof value === 'number' && Number.isFinite(value)
    case 'string':
    case 'boolean':
      return typeof value === type
  }
}

function article(type: string): string {
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'number' ? String(value) : article(typeof value)
}
