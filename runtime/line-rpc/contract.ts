/**
 * What one side of a link answers and hears, as a table: each question with what is asked and what is answered, each push with what it
 * tells. The table types both sides, and its checks look at every value that arrives: JSON of another process is never trusted.
 */
import type { JsonCheck } from '#runtime/json-check.ts'

export interface Question<Asked, Answered> {
  readonly asked: JsonCheck<Asked>
  readonly answered: JsonCheck<Answered>
}

export interface Contract {
  readonly questions: Readonly<Record<string, Question<unknown, unknown>>>
  readonly pushes: Readonly<Record<string, JsonCheck<unknown>>>
}

export type QuestionName<C extends Contract> = keyof C['questions'] & string
export type Asked<C extends Contract, Name extends QuestionName<C>> = ReturnType<C['questions'][Name]['asked']>
export type Answered<C extends Contract, Name extends QuestionName<C>> = ReturnType<C['questions'][Name]['answered']>
export type PushName<C extends Contract> = keyof C['pushes'] & string
export type Pushed<C extends Contract, Name extends PushName<C>> = ReturnType<C['pushes'][Name]>

/** One side's answers: whatever a handler throws is told to who asked. Answers leave in the order in which they are there. */
export interface Handlers<C extends Contract> {
  readonly questions: {
    readonly [Name in QuestionName<C>]: (asked: Asked<C, Name>) => Answered<C, Name> | Promise<Answered<C, Name>>
  }
  readonly pushes: { readonly [Name in PushName<C>]: (pushed: Pushed<C, Name>) => void }
}
