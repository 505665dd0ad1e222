/**
 * What a condition may ask of one message, and nothing else. An index counts within the lists of the `Needs` that the condition was
 * read with (`needs.ts`), so that a hundred conditions share one list and whoever answers prepares each name and path once.
 */
export interface Facts {
  /** The application property `needs.properties[index]`, whose name has no case; undefined if the message does not have it. */
  property(index: number): string | undefined
  /** The system property `needs.systemProperties[index]`, by its name in conditions (`connectionDeviceId`); undefined if it has none. */
  system(index: number): string | undefined
  /** What stands in the body at `needs.bodyPaths[index]`. */
  body(index: number): BodyValue
  /** What stands in the twin of the sender at `needs.twinPaths[index]`; all is `absent` of one that has no twin. */
  twin(index: number): BodyValue
  /** Why `body` answers undefined. Asked only to explain a verdict, never to reach it. */
  unreadable(): UnreadableReason | undefined
}

/** The path is not there: below an object without that name, beyond an array's end, or below something that is neither. */
export const absent: unique symbol = Symbol('absent')
/** An array or an object. Conditions ask whether there is one, never what is in it. */
export const arrayValue: unique symbol = Symbol('array')
export const objectValue: unique symbol = Symbol('object')

/** One value of a JSON document; undefined where the document as a whole cannot be read. Numbers are never NaN. */
export type BodyValue =
  | undefined
  | typeof absent
  | null
  | boolean
  | number
  | string
  | typeof arrayValue
  | typeof objectValue

/** `content-type` is not JSON, `content-encoding` is none of the three, or the bytes are `not-json`, or JSON whose root is no object. */
export type UnreadableReason = 'content-type' | 'content-encoding' | 'not-json'
