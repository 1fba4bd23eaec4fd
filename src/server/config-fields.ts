/**
 * The settings as one list, from the schema in config.ts: the name of each in a file, its kind of value, its range in
 * words, and whether a value is acceptable. The reader of files, the flags of `verit serve` and
 * docs/reference/configuration.md use this list.
 */
import { invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { ServerConfig } from './config.ts'
import { textRules } from './config-rules.ts'

export type SettingValue = number | boolean | string | string[]

/** The parts of a field's JSON Schema that are used. */
interface FieldSchema {
  readonly type?: 'integer' | 'boolean' | 'string' | 'array'
  readonly anyOf?: readonly { const: string }[]
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly maxItems?: number
  readonly items?: FieldSchema
  readonly default: SettingValue
  readonly description: string
}

export interface Setting {
  /** In the program: `listen`, `tlsCert`. */
  readonly section: string
  readonly key: string
  /** In a file: `listen.tls_cert`. */
  readonly name: string
  readonly schema: FieldSchema
}

/** `tlsClientCa` -> tls_client_ca */
export const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, c => `_${c.toLowerCase()}`)

/** All settings, in the order of the schema. */
export const settings: readonly Setting[] = Object.entries(ServerConfig.properties).flatMap(
  ([section, { properties }]) =>
    Object.entries(properties).map(([key, schema]) => ({
      section,
      key,
      name: `${snakeCase(section)}.${snakeCase(key)}`,
      schema: schema as unknown as FieldSchema
    }))
)

const byName = new Map(settings.map(s => [s.name, s]))

/** The setting of a name such as `listen.port`; the name must exist. */
export function setting(name: string): Setting {
  const found = byName.get(name)
  invariant(found !== undefined, `there is no setting ${name}`)
  return found
}

const number = (n: number): string => (n === Number.MAX_SAFE_INTEGER ? '2^53 - 1' : n.toLocaleString('en-US'))

/** Accepted values in words: "a whole number from 1 to 256". */
export function rangeOf({ schema }: Setting): string {
  switch (schema.type) {
    case 'integer':
      return `a whole number from ${number(schema.minimum!)} to ${number(schema.maximum!)}`
    case 'boolean':
      return 'true or false'
    case 'array':
      return (
        `a list of at most ${number(schema.maxItems!)} texts, each of 1 to ` +
        `${number(schema.items!.maxLength!)} characters`
      )
    case 'string':
      return (
        `a text of ${schema.minLength === undefined ? 'at most' : `${schema.minLength} to`} ` +
        `${number(schema.maxLength!)} characters`
      )
    default:
      return `one of ${schema.anyOf!.map(c => JSON.stringify(c.const)).join(', ')}`
  }
}

/** The problem of a value, to complete "SETTING ..."; undefined if there is none. */
export function valueProblem(setting: Setting, value: unknown): string | undefined {
  const { schema, name } = setting
  if (!fits(schema, value)) return `must be ${rangeOf(setting)}`
  const rule = textRules[name]
  for (const text of typeof value === 'string' ? [value] : Array.isArray(value) ? (value as string[]) : []) {
    if (/\p{Cc}/u.test(text))
      return `must not hold control characters, such as in ${JSON.stringify(text.slice(0, 100))}`
    const problem = text === '' ? undefined : rule?.(text)
    if (problem !== undefined) return `${problem}, not "${printable(text, 100)}"`
  }
  return undefined
}

function fits(schema: FieldSchema, value: unknown): value is SettingValue {
  switch (schema.type) {
    case 'integer':
      return Number.isSafeInteger(value) && (value as number) >= schema.minimum! && (value as number) <= schema.maximum!
    case 'boolean':
      return typeof value === 'boolean'
    case 'array':
      return Array.isArray(value) && value.length <= schema.maxItems! && value.every(v => fits(schema.items!, v))
    case 'string':
      return typeof value === 'string' && value.length >= (schema.minLength ?? 0) && value.length <= schema.maxLength!
    default:
      return schema.anyOf!.some(c => c.const === value)
  }
}
