/**
 * The fields of an object in a request: one table of three classes. Honoured fields have an effect. Neutral fields are
 * accepted and change nothing. Refused fields are refused by name and reason, unless their value asks for nothing. Any
 * other name is refused, or ignored with `http.unknown_fields`. null means absent.
 */
import type { Static, TObject, TProperties, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { VeritError } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'
import { printable } from '../lib/printable.ts'

export interface Dialect<P extends TProperties = TProperties> {
  /** Location of such objects in a request, for the log: `messages[]`. Default: the request itself. */
  readonly at?: string
  readonly honoured: P
  /** Accepted values of each. */
  readonly neutral?: Readonly<Record<string, TSchema>>
  readonly refused?: Readonly<Record<string, Refusal>>
}

export interface Refusal {
  /** The remedy: a sentence without its full stop. */
  readonly instead: string
  /** Values that ask for nothing. Default: none. */
  readonly unless?: TSchema
  /** Another field whose value makes this one ask for nothing. */
  readonly unlessField?: { readonly name: string; readonly is: unknown }
}

/** How the fields of one request are read, and which were ignored. */
export interface Reading {
  readonly unknownFields: 'refuse' | 'ignore'
  readonly ignored: IgnoredFields
}

/** Unknown names kept of one request, and characters of each: a client may make up as many as it likes. */
const MOST_NAMES = 32
const NAME_LENGTH = 40

/** Names of accepted fields without effect, for the log. */
export class IgnoredFields {
  /** Names of tables, with their place: `messages[].id`. */
  readonly known = new Set<string>()
  /** Other names, made printable: at most 32. */
  readonly unknown = new Set<string>()

  get names(): string[] {
    return [...this.known, ...this.unknown]
  }
}

export const newReading = (unknownFields: Reading['unknownFields'] = 'refuse'): Reading => ({
  unknownFields,
  ignored: new IgnoredFields()
})

/** @param instead what to do: a sentence without its final stop. Default: to correct it */
export const fieldError = (field: string, problem: string, instead?: string): VeritError =>
  new VeritError('VERIT_REQUEST', { field, problem, ...(instead !== undefined && { instead }) })

/** `messages[3]`, `role` -> messages[3].role, with the client's parts made printable and short. */
export const pathOf = (path: string, name: string): string =>
  `${path}${path === '' ? '' : '.'}${printable(name, NAME_LENGTH)}`

/** Parts of a value up to which the wrong one is looked for: that takes far longer than finding that there is one. */
const MOST_PARTS = 256

type Judge = (value: unknown, body: Readonly<Record<string, unknown>>, path: string, reading: Reading) => void

/**
 * A reader of objects with these fields. It takes them in their order: the error names the first that is wrong.
 * @throws VeritError (the reader) VERIT_REQUEST
 */
export function fieldReader<P extends TProperties>({
  at = '',
  honoured,
  neutral = {},
  refused = {}
}: Dialect<P>): (value: object, path: string, reading: Reading) => Static<TObject<P>> {
  const judges = new Map<string, Judge>()
  const names = Object.keys(honoured)
  const required = names.filter(name => !('~optional' in honoured[name]!))
  for (const [name, schema] of Object.entries<TSchema>(honoured)) judges.set(name, judgeOf(name, schema))
  for (const [name, schema] of Object.entries(neutral)) judges.set(name, judgeOfNeutral(at, name, schema))
  for (const [name, rule] of Object.entries(refused)) judges.set(name, judgeOfRefused(at, name, rule))
  return (value, path, reading) => {
    const all = value as Readonly<Record<string, unknown>>
    const body: Record<string, unknown> = {}
    for (const [name, v] of Object.entries(all)) {
      if (v === null) continue
      const judge = judges.get(name)
      if (judge !== undefined) judge(v, all, path, reading)
      else if (reading.unknownFields === 'refuse') throw unknownField(path, name, names)
      else if (reading.ignored.unknown.size < MOST_NAMES) reading.ignored.unknown.add(pathOf(at, name))
      if (Object.hasOwn(honoured, name)) body[name] = v
    }
    for (const name of required) {
      if (body[name] !== undefined) continue
      const wanted = describe(honoured[name])
      const problem = Object.hasOwn(all, name) ? `is null; it must be ${wanted}` : `is required: ${wanted}`
      throw fieldError(pathOf(path, name), problem, `Send ${name}`)
    }
    return body as Static<TObject<P>>
  }
}

function judgeOf(name: string, schema: TSchema): Judge {
  const check = compiledLater(schema)
  return (value, _body, path) => {
    if (check().Check(value)) return
    const where = isSmall(value) ? (check().Errors(value)[0]?.instancePath ?? '') : ''
    const field = pathOf(path, name)
    const place = where === '' ? '' : ` (see ${JSON.stringify(field + inner(where))})`
    throw fieldError(field, `must be ${describe(schema)}${place}`)
  }
}

function judgeOfNeutral(at: string, name: string, schema: TSchema): Judge {
  const check = compiledLater(schema)
  const known = pathOf(at, name)
  return (value, _body, path, reading) => {
    if (!check().Check(value)) throw fieldError(pathOf(path, name), `must be ${describe(schema)}`)
    reading.ignored.known.add(known)
  }
}

function judgeOfRefused(at: string, name: string, { unless, unlessField, instead }: Refusal): Judge {
  const check = unless === undefined ? undefined : compiledLater(unless)
  const known = pathOf(at, name)
  return (value, body, path, reading) => {
    const isOff = unlessField !== undefined && body[unlessField.name] === unlessField.is
    if (!isOff && check?.().Check(value) !== true) throw fieldError(pathOf(path, name), 'is not supported', instead)
    reading.ignored.known.add(known)
  }
}

function unknownField(path: string, name: string, known: readonly string[]): VeritError {
  const near = nearest(name, known)
  const hint = near === undefined ? 'Leave it out' : `Did you mean ${near}? If not, leave it out`
  return fieldError(`"${pathOf(path, name)}"`, 'is not a field that this server knows', hint)
}

interface Compiled {
  Check(value: unknown): boolean
  Errors(value: unknown): { instancePath: string }[]
}

/** Most fields are rare: their validators are compiled at first use. */
function compiledLater(schema: TSchema): () => Compiled {
  let compiled: Compiled | undefined
  return () => (compiled ??= Compile(schema))
}

const describe = (schema: { description?: string } | undefined): string => schema?.description ?? 'of another type'

/** `/3/role` -> [3].role */
function inner(pointer: string): string {
  const parts = pointer.slice(1).split('/')
  return parts.map(part => (/^\d+$/.test(part) ? `[${part}]` : `.${printable(part, NAME_LENGTH)}`)).join('')
}

/** Whether a value has few parts. */
function isSmall(value: unknown): boolean {
  let left = MOST_PARTS
  const count = (v: unknown): boolean => {
    if (--left < 0) return false
    return typeof v !== 'object' || v === null || (Array.isArray(v) ? v : Object.values(v)).every(count)
  }
  return count(value)
}
