/**
 * Finds the route of a request by its path, segment by segment, as the path was sent:
 *
 *   /devices/query     a segment as it is
 *   /devices/:id       any segment that is not empty, by position among the route's parameters
 *   /static/*          whatever follows, also nothing
 *
 * A literal segment wins over a parameter, and a parameter over a rest. A route of the request's own method wins over one of `ANY`. A
 * route of GET also answers HEAD.
 */
export class PatternTree<Value> {
  readonly #root: Branch<Value> = branch()
  readonly #methods = new Set<string>()

  /** @throws if `method` has a route of that pattern */
  add(method: string, pattern: string, value: Value): void {
    let at = this.#root
    const segments = pattern.split('/').slice(1)
    for (const segment of segments) {
      if (segment.startsWith(':')) at = at.parameter ??= branch()
      else if (segment === '*') at = at.rest ??= branch()
      else {
        const next = at.named.get(segment) ?? branch()
        at.named.set(segment, next)
        at = next
      }
    }
    if (at.values.has(method)) throw new Error(`${method} ${pattern} has two routes`)
    at.values.set(method, value)
    this.#methods.add(method)
    if (method === 'GET') this.#methods.add('HEAD')
  }

  /**
   * HOT: per request. Allocates a short text for each segment.
   * @param parameters where the found route's parameters are left
   */
  find(method: string, path: string, parameters: string[]): Value | undefined {
    parameters.length = 0
    return path.startsWith('/') ? find(this.#root, method, path, 1, parameters) : undefined
  }

  /** The methods that have a route of this path. */
  methodsOf(path: string): string[] {
    return [...this.#methods].filter((method) => this.find(method, path, []) !== undefined)
  }
}

interface Branch<Value> {
  readonly named: Map<string, Branch<Value>>
  parameter: Branch<Value> | undefined
  rest: Branch<Value> | undefined
  readonly values: Map<string, Value>
}

function branch<Value>(): Branch<Value> {
  return { named: new Map(), parameter: undefined, rest: undefined, values: new Map() }
}

/** @param start of the next segment; beyond the end if there is none */
function find<Value>(
  at: Branch<Value>,
  method: string,
  path: string,
  start: number,
  parameters: string[],
): Value | undefined {
  if (start > path.length) return ofMethod(at, method) ?? (at.rest && ofMethod(at.rest, method))
  const slash = path.indexOf('/', start)
  const end = slash < 0 ? path.length : slash
  const segment = path.slice(start, end)
  const named = at.named.get(segment)
  if (named !== undefined) {
    const found = find(named, method, path, end + 1, parameters)
    if (found !== undefined) return found
  }
  if (at.parameter !== undefined && segment !== '') {
    parameters.push(segment)
    const found = find(at.parameter, method, path, end + 1, parameters)
    if (found !== undefined) return found
    parameters.pop()
  }
  return at.rest && ofMethod(at.rest, method)
}

function ofMethod<Value>({ values }: Branch<Value>, method: string): Value | undefined {
  const own = values.get(method) ?? (method === 'HEAD' ? values.get('GET') : undefined)
  return own ?? values.get('ANY')
}
