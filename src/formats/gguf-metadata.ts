/** The metadata of a GGUF file in file order, with accessors that check types and report mismatches. */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { GgufArray, GgufValue } from './gguf-value.ts'

const describe = (v: GgufValue): string => (v.type === 'array' ? `an array of ${v.of}` : `${v.type}`)

/**
 * Each accessor takes a key and, for an optional entry, a fallback; without one, absence is an error. Another type is
 * always an error. `uint` reads integers of any width, `float` both widths of float.
 */
export class GgufMetadata {
  readonly entries: ReadonlyMap<string, GgufValue>
  #file: string
  #offsets: ReadonlyMap<string, number>

  /** `offsets`: position of each key in the file, for errors. */
  constructor(file: string, entries: ReadonlyMap<string, GgufValue>, offsets: ReadonlyMap<string, number>) {
    this.#file = file
    this.entries = entries
    this.#offsets = offsets
  }

  has(key: string): boolean {
    return this.entries.has(key)
  }

  string(key: string, fallback?: string): string {
    const v = this.#get(key, fallback)
    if (v === undefined) return fallback!
    return v.type === 'string' ? v.value : this.#wrong(key, v, 'a string')
  }

  bool(key: string, fallback?: boolean): boolean {
    const v = this.#get(key, fallback)
    if (v === undefined) return fallback!
    return v.type === 'bool' ? v.value : this.#wrong(key, v, 'true or false')
  }

  /** An integer from 0 to 2^53 - 1. */
  uint(key: string, fallback?: number): number {
    const v = this.#get(key, fallback)
    if (v === undefined) return fallback!
    const n = typeof v.value === 'bigint' ? Number(v.value) : v.value
    if (typeof n !== 'number' || v.type === 'f32' || v.type === 'f64') return this.#wrong(key, v, 'an integer')
    return Number.isSafeInteger(n) && n >= 0 ? n : this.#wrong(key, v, 'an integer from 0 to 2^53 - 1')
  }

  /** A finite number stored as a float. */
  float(key: string, fallback?: number): number {
    const v = this.#get(key, fallback)
    if (v === undefined) return fallback!
    if (v.type !== 'f32' && v.type !== 'f64') return this.#wrong(key, v, 'a float')
    return Number.isFinite(v.value) ? v.value : this.#wrong(key, v, 'a finite float')
  }

  strings(key: string, fallback?: readonly string[]): readonly string[] {
    const v = this.#get(key, fallback)
    if (v === undefined) return fallback!
    return v.type === 'array' && v.of === 'string' ? v.value : this.#wrong(key, v, 'an array of strings')
  }

  /** Integers of any stored width, each within +-(2^53 - 1). */
  ints(key: string, fallback?: readonly number[]): readonly number[] {
    const v = this.#get(key, fallback)
    if (v === undefined) return fallback!
    if (v.type !== 'array' || ['string', 'bool', 'f32', 'f64'].includes(v.of))
      return this.#wrong(key, v, 'an array of integers')
    const numbers = toNumbers(v.value as ArrayLike<number | bigint>)
    return numbers.every(Number.isSafeInteger) ? numbers : this.#wrong(key, v, 'an array of integers below 2^53')
  }

  /** Finite floats. */
  floats(key: string, fallback?: readonly number[]): readonly number[] {
    const v = this.#get(key, fallback)
    if (v === undefined) return fallback!
    if (v.type !== 'array' || (v.of !== 'f32' && v.of !== 'f64')) return this.#wrong(key, v, 'an array of floats')
    const numbers = toNumbers(v.value as ArrayLike<number>)
    return numbers.every(Number.isFinite) ? numbers : this.#wrong(key, v, 'an array of finite floats')
  }

  /** Throws the error of this file for an entry that has the right type but a value that makes no sense. */
  refuse(key: string, problem: string): never {
    throw new VeritError('VERIT_GGUF', {
      file: this.#file,
      offset: this.#offsets.get(key) ?? 0,
      problem: `metadata ${printable(key)} ${problem}`
    })
  }

  #get(key: string, fallback: unknown): GgufValue | undefined {
    const value = this.entries.get(key)
    if (value === undefined && fallback === undefined) this.refuse(key, 'is missing')
    return value
  }

  #wrong(key: string, v: GgufValue | GgufArray, expected: string): never {
    const shown = typeof v.value === 'object' ? '' : ` ${printable(String(v.value), 40)}`
    return this.refuse(key, `is ${describe(v)}${shown}, where ${expected} is expected`)
  }
}

/** An iterator over the 262,144 types of a vocabulary takes ten times as long. */
function toNumbers(values: ArrayLike<number | bigint>): number[] {
  const numbers: number[] = []
  for (let i = 0; i < values.length; i++) numbers.push(Number(values[i]))
  return numbers
}
