/**
 * JSON for a server: UTF-8 only, no byte order mark, bounded nesting, no duplicate names in an object, no `__proto__`,
 * `constructor` or `prototype` as a name. One walk over the text checks all of that before or while it builds. The
 * number of names is bounded, and so is that of short texts that look like array indices: V8 keeps both in one table,
 * under hashes of indices that anyone can make collide (CVE-2026-21717).
 */
import { TextDecoder } from 'node:util'
import { VeritError } from './errors.ts'
import { JsonBuilder } from './json-builder.ts'
import type { NumberLimit } from './json-builder.ts'
import { byteOf, walkJson, walkJsonInSlices } from './json-walk.ts'
import type { JsonFault, JsonRules } from './json-walk.ts'
import { turn } from './turns.ts'

/** Deepest nesting accepted: a chat body needs four. */
export const JSON_DEPTH = 16
/** In one object, and in all of a body: a chat has two in a message and two in each of its parts. */
export const JSON_NAMES = 256
export const JSON_ALL_NAMES = 32_768
/** Names and texts such as "17". */
export const JSON_INDICES = 4096
/** Values of a body, lists of numbers apart: a chat of 1,024 messages, each with a part and a cache mark, has 8,200. */
export const JSON_VALUES = 32_768
/** Characters of one name and one number of a body. */
export const JSON_NAME_LENGTH = 1024
export const JSON_NUMBER_LENGTH = 1024

/** Characters walked, and bytes decoded, at a time: about a millisecond. */
const SLICE = 1 << 17
const DECODED = 1 << 20

const rules: Omit<JsonRules, 'depth'> = {
  loneSurrogates: true,
  names: JSON_NAMES,
  allNames: JSON_ALL_NAMES,
  indices: JSON_INDICES,
  forbidden: new Set(['__proto__', 'constructor', 'prototype'])
}

/**
 * @param depth deepest nesting accepted. @throws VeritError VERIT_JSON, VERIT_CONTENT_TYPE when the bytes are not UTF-8
 */
export function parseStrictJson(bytes: Uint8Array, depth = JSON_DEPTH): unknown {
  const text = decode(newDecoder(), bytes)
  walkJson(text, { ...rules, depth }, refuse(text))
  return JSON.parse(text)
}

export interface JsonBodyLimits {
  readonly depth: number
  /** Default: numbers count like other values. */
  readonly numbers?: NumberLimit | undefined
}

/**
 * Parses the body of a request in slices, so that other work on the thread waits for one slice only, whatever the
 * length and content of the body. The number of its values is checked before they are built.
 * @throws VeritError like parseStrictJson; the error of `numbers`
 */
export async function readJsonBody(bytes: Uint8Array, { depth, numbers }: JsonBodyLimits): Promise<unknown> {
  if (bytes.length > SLICE) await turn()
  const text = await decodeInSlices(bytes)
  const limits = {
    ...rules,
    depth,
    values: JSON_VALUES + (numbers?.most ?? 0),
    nameLength: JSON_NAME_LENGTH,
    numberLength: JSON_NUMBER_LENGTH
  }
  const builder = new JsonBuilder(numbers)
  for (const _ of walkJsonInSlices(text, limits, refuse(text), builder, SLICE)) await turn()
  if (bytes.length > SLICE) await turn() // the work on the values is a slice of its own
  return builder.result
}

const newDecoder = (): TextDecoder => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

async function decodeInSlices(bytes: Uint8Array): Promise<string> {
  const decoder = newDecoder()
  let text = ''
  let from = 0
  for (; bytes.length - from > DECODED; from += DECODED) {
    text += decode(decoder, bytes.subarray(from, from + DECODED), true)
    await turn()
  }
  return text + decode(decoder, bytes.subarray(from))
}

function decode(decoder: TextDecoder, bytes: Uint8Array, stream = false): string {
  try {
    return decoder.decode(bytes, { stream })
  } catch {
    throw new VeritError('VERIT_CONTENT_TYPE', { problem: 'it is not UTF-8' })
  }
}

const refuse =
  (text: string): JsonFault =>
  (problem, index) => {
    throw new VeritError('VERIT_JSON', { problem: `at byte ${byteOf(text, index)}, ${problem}` })
  }
