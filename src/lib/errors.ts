/** The errors that Verit raises on purpose. Their codes and messages are in `error-table.ts`. */
import { errorTable } from './error-table.ts'
import type { Row } from './error-table.ts'

/** The stable code of an error: a key of the table in docs/reference/errors.md. */
export type ErrorCode = keyof typeof errorTable
/** The fields from which the message of an error is built, by its code. */
export type ErrorFields<C extends ErrorCode> = Parameters<(typeof errorTable)[C]['what']>[0]

const MARK = Symbol.for('verit.error')

/** An error from the table. Check with `VeritError.is(e)`, which holds across copies of the package. */
export class VeritError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'VeritError'
  readonly code: C
  readonly fields: ErrorFields<C>
  readonly status: number
  readonly exit: number
  readonly what: string
  readonly next: string

  constructor(code: C, fields: ErrorFields<C>, cause?: unknown) {
    const entry = errorTable[code] as unknown as Row<ErrorFields<C>>
    const what = entry.what(fields)
    const next = entry.next(fields)
    super(`${what}. ${next}.`, cause === undefined ? undefined : { cause })
    this.code = code
    this.fields = fields
    this.status = entry.status ?? 500
    this.exit = entry.exit ?? 1
    this.what = what
    this.next = next
    Object.defineProperty(this, MARK, { value: true })
  }

  /** The message for a client over HTTP. */
  get overHttp(): string {
    const entry = errorTable[this.code] as unknown as Row<ErrorFields<C>>
    return entry.overHttp === undefined ? this.message : `${this.what}. ${entry.overHttp(this.fields)}.`
  }

  /** Whether a value is a VeritError, and one of this code if a code is given. Works across copies of the package. */
  static is<C extends ErrorCode = ErrorCode>(e: unknown, code?: C): e is VeritError<C> {
    return (
      typeof e === 'object' &&
      e !== null &&
      MARK in e &&
      (code === undefined || (e as { code?: unknown }).code === code)
    )
  }
}

/** Throws an internal error if a condition that our own code guarantees is false. */
export function invariant(condition: unknown, problem: string): asserts condition {
  if (!condition) throw new VeritError('VERIT_INTERNAL', { problem })
}
