/**
 * Template variables of a request besides the messages: `tools`, `enable_thinking`, `reasoning_effort` and others. They
 * are copied, bounded and marked, so that no text in them becomes a special token.
 */
import { VeritError } from '../lib/errors.ts'
import { finish } from '../lib/steps.ts'
import { marked } from './marks.ts'

/** Values that JSON has. */
export type TemplateVariables = Readonly<Record<string, unknown>>

const MOST_VARIABLES = 64
const MOST_VALUES = 16_384
const DEPTH = 32
/** Names that are the engine's. */
const RESERVED: ReadonlySet<string> = new Set([
  'messages',
  'bos_token',
  'eos_token',
  'add_generation_prompt',
  'strftime_now',
  'raise_exception',
  'range',
  'namespace',
  'loop',
  'true',
  'false',
  'none',
  'True',
  'False',
  'None',
  '__proto__'
])
/** Names and types of JSON schemas, which templates compare. They are not marked. */
const SCHEMA: ReadonlySet<string> = new Set([
  'type',
  'function',
  'name',
  'description',
  'parameters',
  'properties',
  'required',
  'items',
  'enum',
  'object',
  'string',
  'integer',
  'number',
  'boolean',
  'array',
  'null'
])

const fail = (problem: string): never => {
  throw new VeritError('VERIT_CHAT', { problem })
}

/**
 * Checks variables and gives all texts in them to `visit`, once each. @returns UTF-16 units of all texts
 * @throws VeritError VERIT_CHAT
 */
export function checkVariables(variables: TemplateVariables, visit: (text: string) => void): number {
  if (!isPlain(variables)) return fail('its template variables must be an object')
  const names = Object.keys(variables)
  if (names.length > MOST_VARIABLES) return fail(`it has more than ${MOST_VARIABLES} template variables`)
  for (const name of names) {
    if (!/^[A-Za-z_]\w{0,63}$/.test(name))
      return fail('the name of a template variable must be an identifier of at most 64 characters')
    if (RESERVED.has(name)) return fail(`the template variable ${name} is not the request's to set`)
  }
  let values = 0
  let units = 0
  const text = (value: string): void => {
    units += value.length
    visit(value)
  }
  const walk = (value: unknown, depth: number): void => {
    if (++values > MOST_VALUES || depth > DEPTH)
      return fail(`its template variables have more than ${MOST_VALUES} values or ${DEPTH} levels`)
    if (typeof value === 'string') return text(value)
    if (value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return
    if (Array.isArray(value)) return value.forEach(entry => walk(entry, depth + 1))
    if (!isPlain(value)) return fail('its template variables must hold what JSON has')
    for (const [key, entry] of Object.entries(value)) {
      text(key)
      walk(entry, depth + 1)
    }
  }
  for (const name of names) walk(variables[name], 1)
  return units
}

/**
 * A copy of checked variables with marks in texts that could become part of a special token. A text that no special
 * token contains, and that shares no first or last character with one, cannot: it stays unmarked, so that a template
 * can compare it.
 * @param specials texts of special tokens
 */
export function markVariables(
  variables: TemplateVariables,
  mark: number,
  specials: readonly string[]
): Record<string, unknown> {
  const names = specials.map(special => special.toLowerCase())
  const edges = new Set(names.flatMap(name => [name.at(0), name.at(-1)]))
  const isHarmless = (text: string): boolean => {
    const plain = text.trim().toLowerCase()
    return (
      SCHEMA.has(text) ||
      (!plain.split('').some(unit => edges.has(unit)) &&
        !(plain.length <= LONGEST && names.some(name => name.includes(plain))))
    )
  }
  const guarded = (text: string): string => {
    const wellFormed = text.toWellFormed()
    return isHarmless(wellFormed) ? wellFormed : finish(marked(wellFormed, mark))
  }
  const copy = (value: unknown): unknown => {
    if (typeof value === 'string') return guarded(value)
    if (Array.isArray(value)) return value.map(copy)
    if (!isPlain(value)) return value
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [guarded(key), copy(entry)]))
  }
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, copy(value)]))
}

/** No special token is longer. */
const LONGEST = 4096

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null)
