/**
 * Errors across the wire: the runner sends code and fields, the gateway makes the error anew from its own table, so
 * that a runner cannot choose the words.
 */
import { VeritError } from '../lib/errors.ts'
import { errorTable } from '../lib/error-table.ts'
import type { ErrorCode, ErrorFields } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'

export interface Failure {
  code: string
  fields: Record<string, string | number | boolean>
}

/**
 * In the runner. A defect's message may quote anything, so it goes to the log of the server and only the fact to the
 * client.
 */
export function failureOf(e: unknown): Failure {
  if (!VeritError.is(e)) {
    process.stderr.write(`${describe(e)}\n`)
    return {
      code: 'VERIT_INTERNAL',
      fields: { problem: 'the runner met a defect; the log of the server has the details' }
    }
  }
  const fields: Failure['fields'] = {}
  for (const [name, value] of Object.entries(e.fields as Record<string, unknown>)) {
    fields[name] =
      (typeof value === 'number' && Number.isFinite(value)) || typeof value === 'boolean'
        ? value
        : String(value).slice(0, 2000)
  }
  return { code: e.code, fields }
}

/**
 * Where it happened. The message is included only if it comes from the JavaScript engine about our code; other messages
 * may quote a prompt.
 */
function describe(e: unknown): string {
  if (!(e instanceof Error)) return 'something that is not an error was thrown'
  const frames = (e.stack ?? '')
    .split('\n')
    .filter(line => /^ +at /.test(line))
    .join('\n')
  const harmless = e instanceof TypeError || e instanceof RangeError || e instanceof ReferenceError
  return `${harmless ? `${e.name}: ${e.message}` : e.name}\n${frames}`
}

/** Errors that only the gateway may raise, with headers made from their fields: authentication, limits. */
const GATEWAYS_OWN: readonly (number | undefined)[] = [401, 403, 405, 429]

/**
 * In the gateway. @throws VeritError VERIT_RUNNER_FRAME if the code is unknown or not a runner's, or if its row cannot
 * be written from these fields
 */
export function errorOf(failure: Failure): VeritError {
  if (!Object.hasOwn(errorTable, failure.code))
    throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'an error of an unknown code' })
  const { status } = errorTable[failure.code as ErrorCode] as { status?: number }
  if (GATEWAYS_OWN.includes(status) || Object.hasOwn(failure.fields, 'retryAfter'))
    throw new VeritError('VERIT_RUNNER_FRAME', { problem: "an error that is not a runner's to give" })
  const fields = Object.fromEntries(
    Object.entries(failure.fields).map(([k, v]) => [k, typeof v === 'string' ? printable(v, 500) : v])
  )
  try {
    return new VeritError(failure.code as ErrorCode, fields as unknown as ErrorFields<ErrorCode>)
  } catch (e) {
    throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'an error without the fields of its code' }, e)
  }
}
