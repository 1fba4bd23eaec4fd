/**
 * An HTTP message for signatures (RFC 9421): lines of fields in their order, and the first line of a request or
 * response.
 */
import { VeritError } from '../lib/errors.ts'

/** Field lines in the order of the message; names in any case, values as received. */
export type FieldLines = readonly (readonly [name: string, value: string])[]

/** The type of a structured field (RFC 9651): without it, a field cannot be serialised anew (`sf`, `key`). */
export type FieldType = 'list' | 'dictionary' | 'item'

interface Fields {
  readonly headers: FieldLines
  readonly trailers?: FieldLines
  /** Types of structured fields by name in lower case, besides the known ones. */
  readonly types?: Readonly<Record<string, FieldType>>
}

export interface RequestMessage extends Fields {
  readonly method: string
  /** `http` or `https`; needed by @scheme and @target-uri only. */
  readonly scheme?: string
  /** Host and port, as in the Host field. */
  readonly authority: string
  /** As in the request line: a path with its query, an absolute URI, or `*`. */
  readonly target: string
}

export interface ResponseMessage extends Fields {
  readonly status: number
  /** The request that a response answers, for components with `req`. */
  readonly request?: RequestMessage
}

export type HttpMessage = RequestMessage | ResponseMessage

/** A covered component: its name in lower case and its parameters in their order. */
export interface Component {
  readonly name: string
  readonly parameters: readonly (readonly [name: string, value: string | true])[]
}

/** @throws VeritError VERIT_SIGNATURE always */
export function refuseSignature(problem: string, cause?: unknown): never {
  throw new VeritError('VERIT_SIGNATURE', { problem }, cause)
}

/** Field lines from Node's `rawHeaders`: name, value, name, value ... */
export function fieldLines(raw: readonly string[]): [string, string][] {
  const lines: [string, string][] = []
  for (let i = 0; i + 1 < raw.length; i += 2) lines.push([raw[i]!, raw[i + 1]!])
  return lines
}

/** The values of all lines of a field, in order. `name` in lower case. */
export function fieldValues(lines: FieldLines, name: string): string[] {
  return lines.filter(([n]) => n.toLowerCase() === name).map(([, value]) => value)
}

/** The value of a field with at most one line; undefined if absent. */
export function singleField(lines: FieldLines, name: string): string | undefined {
  const values = fieldValues(lines, name)
  if (values.length > 1) refuseSignature(`there are ${values.length} ${name} fields`)
  return values[0]
}
