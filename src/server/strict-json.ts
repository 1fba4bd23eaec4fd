/**
 * JSON as a server should read it: UTF-8 only, no byte order mark, bounded nesting, no name twice in one object (two readers could disagree on which
 * counts), no `__proto__`, `constructor` or `prototype` as a name. One pass over the text finds all of that before anything is built.
 */
import { VeritError } from '../lib/errors.ts'

/** Deepest nesting accepted: a chat body needs four. */
export const JSON_DEPTH = 16

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype'])

/** @throws VeritError VERIT_JSON, VERIT_CONTENT_TYPE when the bytes are not UTF-8 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw new VeritError('VERIT_CONTENT_TYPE', { problem: 'it is not UTF-8' })
  }
  scan(text)
  try {
    return JSON.parse(text)
  } catch {
    throw bad('its syntax is wrong')
  }
}

/** Walks brackets and strings. What is not JSON at all is left for the parser to refuse. */
function scan(text: string): void {
  const stack: (Set<string> | undefined)[] = []
  let nameNext = false
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '"') {
      const end = endOfString(text, i)
      if (nameNext) addName(stack.at(-1), text.slice(i, end + 1))
      nameNext = false
      i = end
    } else if (c === '{' || c === '[') {
      if (stack.push(c === '{' ? new Set() : undefined) > JSON_DEPTH) throw bad(`it is nested more than ${JSON_DEPTH} deep`)
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

function addName(names: Set<string> | undefined, quoted: string): void {
  let name: string
  try {
    name = JSON.parse(quoted) as string
  } catch {
    throw bad('its syntax is wrong')
  }
  if (FORBIDDEN.has(name)) throw bad(`"${name}" is not accepted as a name`)
  if (names?.has(name) === true) throw bad('an object has the same name twice')
  names?.add(name)
}

const bad = (problem: string): VeritError => new VeritError('VERIT_JSON', { problem })
