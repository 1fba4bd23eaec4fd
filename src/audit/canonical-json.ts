/**
 * JSON in one canonical form: names sorted by UTF-16 code units, no spaces, numbers and strings as JSON.stringify
 * writes them (as RFC 8785). The same facts give the same bytes. Ill-formed Unicode is refused, because it has no UTF-8
 * form.
 */
import { utf8FirstInvalid } from '../lib/utf8.ts'

const DEPTH = 32

/** A value that cannot be written, or bytes that are not canonical. Callers add the location. */
export class CanonicalError extends Error {
  override readonly name = 'CanonicalError'
}

/** Writes a value. Fields that are undefined are left out. @throws CanonicalError */
export function canonicalJson(value: unknown, depth = DEPTH): string {
  if (depth === 0) throw new CanonicalError(`it is nested more than ${DEPTH} deep`)
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new CanonicalError('it holds a number that is not finite')
    return JSON.stringify(value)
  }
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new CanonicalError('it holds half of a surrogate pair')
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map(item => canonicalJson(item, depth - 1)).join(',')}]`
  if (typeof value !== 'object') throw new CanonicalError(`it holds a ${typeof value}`)
  return canonicalObject(
    Object.entries(value)
      .filter(([, v]) => v !== undefined)
      .map(([name, v]) => [name, canonicalJson(v, depth - 1)])
  )
}

/** An object of names and values that are canonical already. */
export function canonicalObject(fields: [name: string, json: string][]): string {
  const sorted = fields.toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${sorted.map(([name, json]) => `${canonicalJson(name)}:${json}`).join(',')}}`
}

/**
 * Reads bytes that `canonicalJson` wrote, and nothing else: no other order, spelling, spaces or repeated names. @throws
 * CanonicalError
 */
export function parseCanonical(bytes: Uint8Array): unknown {
  if (utf8FirstInvalid(bytes) >= 0) throw new CanonicalError('it is not UTF-8')
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new CanonicalError('it is not JSON')
  }
  if (canonicalJson(value) !== text) throw new CanonicalError('it is not JSON in canonical form')
  return value
}
