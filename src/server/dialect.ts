/**
 * The fields that an object of a request may have: one table of three classes. Honoured fields have an effect. Neutral
 * fields are accepted and change nothing here. Refused fields are refused by name and with a reason, unless they hold a
 * value that asks for nothing. Any other name is refused, or ignored where `http.unknown_fields` says so. null means
 * absent.
 */
import type { Static, TObject, TProperties, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { VeritError } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'
import { printable } from '../lib/printable.ts'

export interface Dialect<P extends TProperties = TProperties> {
  readonly honoured: P
  /** What each may hold. */
  readonly neutral?: Readonly<Record<string, TSchema>>
  readonly refused?: Readonly<Record<string, Refusal>>
}

export interface Refusal {
  /** What to do instead: a sentence without its final stop. */
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

/** Names kept of one request: more can only be unknown ones, which a client may make up. */
const MOST_NAMES = 32
const NAME_LENGTH = 40

/** Names of fields that were accepted and changed nothing, for the log. */
export class IgnoredFields {
  /** Names of tables, and whether all of the others were names that no table has. */
  readonly known = new Set<string>()
  readonly unknown = new Set<string>()

  /** The names, without indices: `messages[].id`. At most 32 of each kind. */
  get names(): string[] {
    return [...this.known, ...this.unknown]
  }

  add(path: string, name: string, kind: 'known' | 'unknown'): void {
    if (this[kind].size < MOST_NAMES) this[kind].add(pathOf(path.replaceAll(/\[\d+\]/g, '[]'), name))
  }
}

export const newReading = (unknownFields: Reading['unknownFields'] = 'refuse'): Reading =>
  ({ unknownFields, ignored: new IgnoredFields() })

/** @param instead what to do: a sentence without its final stop. Default: to correct it */
export const fieldError = (field: string, problem: string, instead?: string): VeritError =>
  new VeritError('VERIT_REQUEST', { field, problem, ...(instead !== undefined && { instead }) })

/** `messages[3]`, `role` -> messages[3].role, with what a client chose made printable and short. */
export const pathOf = (path: string, name: string): string =>
  `${path}${path === '' ? '' : '.'}${printable(name, NAME_LENGTH)}`

/** Parts of a value up to which the wrong one is looked for: that takes far longer than finding that there is one. */
const MOST_PARTS = 256

type Judge = (value: unknown, body: Readonly<Record<string, unknown>>, path: string, reading: Reading) => void

/**
 * A reader of objects with these fields. It takes them in their order: the error names the first that is wrong.
 * @throws VeritError (the reader) VERIT_REQUEST
 */
export function fieldReader<P extends TProperties>(
  { honoured, neutral = {}, refused = {} }: Dialect<P>,
): (value: object, path: string, reading: Reading) => Static<TObject<P>> {
  const judges = new Map<string, Judge>()
  const names = Object.keys(honoured)
  const required = names.filter(name => !('~optional' in honoured[name]!))
  for (const [name, schema] of Object.entries<TSchema>(honoured)) judges.set(name, judgeOf(name, schema))
  for (const [name, schema] of Object.entries(neutral)) judges.set(name, judgeOfNeutral(name, schema))
  for (const [name, rule] of Object.entries(refused)) judges.set(name, judgeOfRefused(name, rule))
  return (value, path, reading) => {
    const all = value as Readonly<Record<string, unknown>>
    const body: Record<string, unknown> = {}
    for (const [name, v] of Object.entries(all)) {
      if (v === null) continue
      const judge = judges.get(name)
      if (judge === undefined) refuseUnknown(path, name, names, reading)
      else judge(v, all, path, reading)
      if (Object.hasOwn(honoured, name)) body[name] = v
    }
    for (const name of required) {
      if (body[name] !== undefined) continue
      throw fieldError(pathOf(path, name), `is required: ${describe(honoured[name])}`, `Send ${name}`)
    }
    return body as Static<TObject<P>>
  }
}

function judgeOf(name: string, schema: TSchema): Judge {
  const check = compiledLater(schema)
  return (value, _body, path) => {
    if (check().Check(value)) return
    const where = isSmall(value) ? check().Errors(value)[0]?.instancePath ?? '' : ''
    const field = pathOf(path, name)
    const place = where === '' ? '' : ` (see ${JSON.stringify(field + inner(where))})`
    throw fieldError(field, `must be ${describe(schema)}${place}`)
  }
}

function judgeOfNeutral(name: string, schema: TSchema): Judge {
  const check = compiledLater(schema)
  return (value, _body, path, reading) => {
    if (!check().Check(value)) throw fieldError(pathOf(path, name), `must be ${describe(schema)}`)
    reading.ignored.add(path, name, 'known')
  }
}

function judgeOfRefused(name: string, { unless, unlessField, instead }: Refusal): Judge {
  const check = unless === undefined ? undefined : compiledLater(unless)
  return (value, body, path, reading) => {
    const isOff = unlessField !== undefined && body[unlessField.name] === unlessField.is
    if (!isOff && check?.().Check(value) !== true) throw fieldError(pathOf(path, name), 'is not supported', instead)
    reading.ignored.add(path, name, 'known')
  }
}

function refuseUnknown(path: string, name: string, known: readonly string[], reading: Reading): void {
  if (reading.unknownFields === 'ignore') return reading.ignored.add(path, name, 'unknown')
  const near = nearest(name, known)
  const hint = near === undefined ? 'Leave it out' : `Did you mean ${near}? If not, leave it out`
  throw fieldError(`"${pathOf(path, name)}"`, 'is not a field that this server knows', hint)
}

interface Compiled {
  Check(value: unknown): boolean
  Errors(value: unknown): { instancePath: string }[]
}

/** Most fields are rare: what checks them is compiled when it is first needed. */
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
