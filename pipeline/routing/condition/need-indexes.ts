import { limits } from '#schemas/limits.ts'
import type { Needs, Uses } from './needs.ts'
import type { Finding } from './problem.ts'
import type { BodyNode, Node, TwinChangeNode } from './tree.ts'

/** Where the names and paths of a condition are in its `Needs`. */
export interface NeedIndexes {
  /** The index of what the node reads. */
  readonly first: (node: Node) => number
  /** Of `$name`: the index of the application property that stands in for a system property that is absent. */
  readonly second: (node: Node) => number
  readonly uses: Uses
}

/** A path that one set of conditions cannot have any more, because it would be one too many; undefined if there is none. */
export function pathTooMany(tree: Node, needs: Needs): Finding | undefined {
  const added = new Set<string>()
  for (const node of nodesOf(tree)) {
    if (!readsBody(node) || needs.hasBodyPath(node.path)) continue
    added.add(JSON.stringify(node.path))
    if (needs.bodyPaths.length + added.size > limits.conditionBodyPathsMax) {
      return {
        message: `all conditions together read more than ${limits.conditionBodyPathsMax} paths of a body`,
        span: node.span,
      }
    }
  }
  return undefined
}

/** Enters what the tree reads into `needs`. */
export function enterNeeds(tree: Node, needs: Needs): NeedIndexes {
  const firsts = new Map<Node, number>()
  const seconds = new Map<Node, number>()
  const [properties, systemProperties, bodyPaths, twinPaths] = Array.from({ length: 4 }, () => new Set<number>())
  const enter = (indexes: Map<Node, number>, used: Set<number> | undefined, node: Node, index: number): void => {
    indexes.set(node, index)
    used?.add(index)
  }
  for (const node of nodesOf(tree)) {
    if (node.kind === 'property') enter(firsts, properties, node, needs.property(node.name))
    else if (node.kind === 'system') {
      enter(firsts, systemProperties, node, needs.systemProperty(node.name))
      if (!node.braced) enter(seconds, properties, node, needs.property(`$${node.name}`))
    } else if (readsBody(node)) enter(firsts, bodyPaths, node, needs.bodyPath(node.path))
    else if (node.kind === 'twin') enter(firsts, twinPaths, node, needs.twinPath(node.path))
  }
  const ascending = (indexes: Set<number> | undefined) => [...(indexes ?? [])].sort((left, right) => left - right)
  return {
    first: (node) => firsts.get(node) as number,
    second: (node) => seconds.get(node) as number,
    uses: {
      properties: ascending(properties),
      systemProperties: ascending(systemProperties),
      bodyPaths: ascending(bodyPaths),
      twinPaths: ascending(twinPaths),
    },
  }
}

const readsBody = (node: Node): node is BodyNode | TwinChangeNode => node.kind === 'body' || node.kind === 'twin-change'

function* nodesOf(node: Node): Generator<Node> {
  yield node
  if (node.kind === 'unary') yield* nodesOf(node.operand)
  else if (node.kind === 'binary') {
    yield* nodesOf(node.left)
    yield* nodesOf(node.right)
  } else if (node.kind === 'call') {
    for (const argument of node.arguments) yield* nodesOf(argument)
  }
}
