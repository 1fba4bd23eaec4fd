/**
 * JSON as a server should read it: UTF-8 only, no byte order mark, bounded nesting, no name twice in one object, no `__proto__`, `constructor` or
 * `prototype` as a name. One walk over the text finds all of that before anything is built.
 * The number of names is bounded, and that of short texts that look like array indices: V8 keeps both in one table, under hashes of indices that
 * anyone can make collide (CVE-2026-21717).
 */
import { VeritError } from './errors.ts'
import { byteOf, walkJson } from './json-walk.ts'
import type { JsonRules } from './json-walk.ts'

/** Deepest nesting accepted: a chat body needs four. */
export const JSON_DEPTH = 16
/** In one object, and in all of a body: a chat has two in a message and two in each of its parts. */
export const JSON_NAMES = 256
export const JSON_ALL_NAMES = 32_768
/** Names and texts such as "17". */
export const JSON_INDICES = 4096

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const rules: Omit<JsonRules, 'depth'> = {
  loneSurrogates: true, names: JSON_NAMES, allNames: JSON_ALL_NAMES, indices: JSON_INDICES, forbidden: new Set(['__proto__', 'constructor', 'prototype']),
}

/** @param depth deepest nesting accepted. @throws VeritError VERIT_JSON, VERIT_CONTENT_TYPE when the bytes are not UTF-8 */
export function parseStrictJson(bytes: Uint8Array, depth = JSON_DEPTH): unknown {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw new VeritError('VERIT_CONTENT_TYPE', { problem: 'it is not UTF-8' })
  }
  walkJson(text, { ...rules, depth }, (problem, index) => {
    throw new VeritError('VERIT_JSON', { problem: `at byte ${byteOf(text, index)}, ${problem}` })
  })
  return JSON.parse(text)
}
