/**
 * Which versions of its language one side of a link speaks. A version is raised by what the other side must know to be right: a question that
 * it has to answer, a meaning that changed. What only adds is no new version, since what is not known is refused by itself.
 *
 *   asker    {"q": "$version", "v": {"spoken": 3, "oldest": 2}}
 *   answerer its own, as the answer; or LINK_QUESTION_UNKNOWN, if it is of before this was asked: then it speaks version 1
 *
 * Whoever asked speaks the newest version that both do, or ends the link with LINK_VERSION_REFUSED.
 */
import { aCount, type JsonCheck, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'

export interface LinkVersion {
  readonly spoken: number
  /** The oldest one that is understood, too. */
  readonly oldest: number
}

export const versionQuestion = '$version'

/** Of what says none. */
export const firstVersion: LinkVersion = { spoken: 1, oldest: 1 }

export const linkVersionCheck: JsonCheck<LinkVersion> = recordOf<LinkVersion>({ spoken: aCount, oldest: aCount })

/** The newest version that both speak. @throws LINK_VERSION_REFUSED */
export function agreedVersion(own: LinkVersion, other: LinkVersion): number {
  const version = Math.min(own.spoken, other.spoken)
  if (version >= own.oldest && version >= other.oldest) return version
  const [older, newer] =
    own.spoken < other.spoken ? ['this process', 'the other one'] : ['the other process', 'this one']
  throw new PenstockError(
    'LINK_VERSION_REFUSED',
    `this process speaks versions ${own.oldest} to ${own.spoken} of the link, the other one ${other.oldest} to ${other.spoken}: ` +
      `upgrade ${older}, or run ${newer} in the version of Penstock before`,
  )
}
