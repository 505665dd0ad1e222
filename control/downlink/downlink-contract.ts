/**
 * The downlink between processes (`runtime/line-rpc/`): what an edge process answers, whichever way it is linked, and how control asks it.
 * A further kind of call or notice is a line here.
 */
import { randomUUID } from 'node:crypto'
import { identityIdCheck } from '#control/identities/credentials-json.ts'
import {
  aBoolean,
  aCount,
  aText,
  type JsonCheck,
  listOf,
  nothing,
  oneOf,
  optional,
  recordOf,
  variantsOf,
} from '#runtime/json-check.ts'
import type { Contract, Handlers } from '#runtime/line-rpc/contract.ts'
import type { LineRpc } from '#runtime/line-rpc/line-rpc.ts'
import {
  type CallFailure,
  type CallOutcome,
  type DeviceCall,
  type Notice,
  sentFailures,
  unsentFailures,
} from '#schemas/downlink.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { EdgeDownlink, EdgeLink } from './downlink.ts'
import { wayMsMax } from './link-limits.ts'

const callCheck = variantsOf<'kind', DeviceCall>('kind', {
  method: recordOf({ kind: oneOf('method'), name: aText, payload: aText, responseMs: aCount }),
})

const failure = (kind: CallFailure): JsonCheck<{ readonly kind: CallFailure }> => recordOf({ kind: oneOf(kind) })

const failures = Object.fromEntries([...unsentFailures, ...sentFailures].map((kind) => [kind, failure(kind)]))

const answered = recordOf({ kind: oneOf('answered'), status: aWhole, payload: aText })

const outcomeCheck: JsonCheck<CallOutcome> = variantsOf('kind', { answered, ...failures } as never)

const noticeCheck = variantsOf<'kind', Notice>('kind', {
  desired: recordOf({ kind: oneOf('desired'), version: aCount, patch: aText }),
  commands: recordOf({ kind: oneOf('commands') }),
})

function aWhole(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw new TypeError('is no whole number')
  return value as number
}

/** What an edge answers. */
export const downlinkContract = {
  questions: {
    /** Its name. */
    edge: { asked: nothing, answered: aText },
    call: {
      asked: recordOf<{
        readonly id: IdentityId
        readonly call: DeviceCall
        readonly waitMs: number
        /** By which `left` names the call; left out: it will not. */
        readonly mark: string | undefined
      }>({
        id: identityIdCheck,
        call: callCheck,
        waitMs: aCount,
        mark: optional(aText),
      }),
      answered: outcomeCheck,
    },
    /** Nobody waits for the outcome of this call any more. */
    left: { asked: aText, answered: nothing },
    holds: { asked: listOf(identityIdCheck), answered: listOf(aBoolean) },
    tell: {
      asked: recordOf<{ readonly ids: readonly IdentityId[]; readonly notice: Notice }>({
        ids: listOf(identityIdCheck),
        notice: noticeCheck,
      }),
      answered: listOf(identityIdCheck),
    },
  },
  pushes: {},
} as const satisfies Contract

/** The edge's side of it. */
export function downlinkHandlers(edgeId: string, edge: EdgeDownlink): Handlers<typeof downlinkContract> {
  const marked = new Map<string, AbortController>()
  return {
    questions: {
      edge: () => edgeId,
      async call({ id, call, waitMs, mark }) {
        if (mark === undefined) return edge.call(id, call, waitMs)
        const left = new AbortController()
        marked.set(mark, left)
        try {
          return await edge.call(id, call, waitMs, left.signal)
        } finally {
          marked.delete(mark)
        }
      },
      left: (mark) => marked.get(mark)?.abort(),
      holds: (ids) => edge.holds(ids),
      tell: ({ ids, notice }) => edge.tell(ids, notice),
    },
    pushes: {},
  }
}

/** The same of a process that takes no part in it, so that control does not count on it. */
export const refuseDownlink: Handlers<typeof downlinkContract> = {
  questions: { edge: noEdge, call: noEdge, left: noEdge, holds: noEdge, tell: noEdge },
  pushes: {},
}

function noEdge(): never {
  throw new PenstockError('LINK_QUESTION_UNKNOWN', 'this process holds no devices')
}

/** Control's side of it, of an edge that said its name. */
export function linkOver<Own extends Contract>(
  edgeId: string,
  rpc: Pick<LineRpc<Own, typeof downlinkContract>, 'ask'>,
): EdgeLink {
  return {
    edgeId,
    async call(id, call, waitMs, left) {
      const mark = left === undefined ? undefined : randomUUID()
      // An edge that does not know the question calls the device for nobody.
      const tellLeft = (): void => void (mark !== undefined && rpc.ask('left', mark, wayMsMax).catch(() => undefined))
      left?.addEventListener('abort', tellLeft, { once: true })
      try {
        return await rpc.ask('call', { id, call, waitMs, mark }, waitMs + call.responseMs + wayMsMax)
      } finally {
        left?.removeEventListener('abort', tellLeft)
      }
    },
    holds: (ids) => rpc.ask('holds', ids, wayMsMax),
    tell: (ids, notice) => rpc.ask('tell', { ids, notice }, wayMsMax),
  }
}
