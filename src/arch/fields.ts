/** Checks of the fields of an untrusted configuration. Each throws VERIT_MODEL_CONFIG that names the field. */
import { VeritError } from '../lib/errors.ts'

export type Fields = Readonly<Record<string, unknown>>

export function fail(field: string, problem: string): never {
  throw new VeritError('VERIT_MODEL_CONFIG', { field, problem })
}

/** A whole number from `low` to `high`. */
export function integer(source: Fields, field: string, low: number, high: number, fallback?: number): number {
  const value = source[field] ?? fallback
  if (value === undefined) return fail(field, 'is missing')
  if (typeof value !== 'number' || !Number.isInteger(value) || value < low || value > high) {
    return fail(field, `must be a whole number from ${low} to ${high.toLocaleString('en-US')}`)
  }
  return value
}

/** A number from `low` to below `high`. */
export function real(source: Fields, field: string, low: number, high: number, fallback?: number): number {
  const value = source[field] ?? fallback
  if (value === undefined) return fail(field, 'is missing')
  if (typeof value !== 'number' || !(value >= low && value < high))
    return fail(field, `must be a number from ${low} to below ${high}`)
  return value
}

export function flag(source: Fields, field: string, fallback: boolean): boolean {
  const value = source[field] ?? fallback
  return typeof value === 'boolean' ? value : fail(field, 'must be true or false')
}

/** Refuses fields that are not in the list. */
export function onlyFields(source: Fields, kind: string, known: readonly string[]): void {
  for (const field of Object.keys(source)) if (!known.includes(field)) fail(field, `is not a field of a ${kind} model`)
}

/** The sizes that every model has. */
export function commonSizes(
  source: Fields
): Record<'layers' | 'hidden' | 'heads' | 'context' | 'vocab' | 'eps', number> {
  return {
    layers: integer(source, 'layers', 1, 1024),
    hidden: integer(source, 'hidden', 1, 65536),
    heads: integer(source, 'heads', 1, 1024),
    context: integer(source, 'context', 1, 1 << 20),
    vocab: integer(source, 'vocab', 2, 1 << 21),
    eps: real(source, 'eps', 1e-12, 1, 1e-5)
  }
}
