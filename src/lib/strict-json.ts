/**
 * JSON as a server should read it: UTF-8 only, no byte order mark, bounded nesting, no name twice in one object (two readers could disagree on which
 * counts), no `__proto__`, `constructor` or `prototype` as a name. One pass over the text finds all of that before anything is built.
 * The number of names is bounded, and that of short texts that look like array indices: V8 keeps both in one table, under hashes of indices that
 * anyone can make collide (CVE-2026-21717).
 */
import { VeritError } from './errors.ts'

/** Deepest nesting accepted: a chat body needs four. */
export const JSON_DEPTH = 16
/** In one object, and in all of a body: a chat has two in a message and two in each of its parts. */
export const JSON_NAMES = 256
export const JSON_ALL_NAMES = 32_768
/** Names and texts such as "17". */
export const JSON_INDICES = 4096

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype'])
const MOST_DIGITS = 10
const INDEX = /^\d{1,10}$/

/** @param depth deepest nesting accepted. @throws VeritError VERIT_JSON, VERIT_CONTENT_TYPE when the bytes are not UTF-8 */
export function parseStrictJson(bytes: Uint8Array, depth = JSON_DEPTH): unknown {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw new VeritError('VERIT_CONTENT_TYPE', { problem: 'it is not UTF-8' })
  }
  scan(text, depth)
  try {
    return JSON.parse(text)
  } catch {
    throw bad('its syntax is wrong')
  }
}

/** Walks brackets and strings. What is not JSON at all is left for the parser to refuse. */
function scan(text: string, depth: number): void {
  const stack: (Set<string> | undefined)[] = []
  let nameNext = false
  let names = 0
  let indices = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '"') {
      const end = endOfString(text, i)
      const quoted = text.slice(i, end + 1)
      if (nameNext && ++names > JSON_ALL_NAMES) throw bad(`it has more than ${JSON_ALL_NAMES} names`)
      const read = nameNext ? addName(stack.at(-1), quoted) : quoted.length > MOST_DIGITS + 2 ? '' : quoted.slice(1, -1)
      if (INDEX.test(read) && ++indices > JSON_INDICES) throw bad(`it has more than ${JSON_INDICES} texts that are numbers`)
      nameNext = false
      i = end
    } else if (c === '{' || c === '[') {
      if (stack.push(c === '{' ? new Set() : undefined) > depth) throw bad(`it is nested more than ${depth} deep`)
      nameNext = c === '{'
    } else if (c === '}' || c === ']') {
      stack.pop()
      nameNext = false
    } else if (c === ',') nameNext = stack.at(-1) !== undefined
  }
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '"') return i
  }
  throw bad('a string does not end')
}

/** Gives the name without quotes and escapes. */
function addName(names: Set<string> | undefined, quoted: string): string {
  let name: string
  try {
    name = JSON.parse(quoted) as string
  } catch {
    throw bad('its syntax is wrong')
  }
  if (FORBIDDEN.has(name)) throw bad(`"${name}" is not accepted as a name`)
  if (names?.has(name) === true) throw bad('an object has the same name twice')
  if (names?.add(name) !== undefined && names.size > JSON_NAMES) throw bad(`an object has more than ${JSON_NAMES} names`)
  return name
}

const bad = (problem: string): VeritError => new VeritError('VERIT_JSON', { problem })
