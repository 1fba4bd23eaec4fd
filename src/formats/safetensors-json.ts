/**
 * Parses the JSON header of a safetensors file: objects, arrays, strings and non-negative integers, at most four levels deep, which is all the format
 * needs. Unlike JSON.parse it refuses a key that stands twice (two readers could choose differently), and objects become Maps, so that
 * `__proto__` is a key like any other.
 */

export type HeaderValue = string | number | readonly HeaderValue[] | ReadonlyMap<string, HeaderValue>

const DEPTH = 4
const MAX_DIGITS = 16

/** Parses the whole text; `fail` is called with a sentence and the index where it went wrong. */
export function parseHeaderJson(text: string, fail: (problem: string, index: number) => never): HeaderValue {
  let at = 0

  // Hand-written scans: a regular expression may run out of stack on a string of many megabytes.
  function space(): void {
    while (at < text.length && ' \t\n\r'.includes(text[at]!)) at++
  }

  function take(sign: string): boolean {
    space()
    if (text[at] !== sign) return false
    at++
    return true
  }

  function string(): string {
    space()
    const start = at
    if (text[at] !== '"') fail('a string is expected in the JSON header', at)
    for (at++; text[at] !== '"'; at += text[at] === '\\' ? 2 : 1) if (at >= text.length) fail('a string of the JSON header does not end', start)
    at++
    let value: string
    try {
      value = JSON.parse(text.slice(start, at)) as string
    } catch {
      return fail('a string of the JSON header holds a control character or a wrong escape', start)
    }
    return value.isWellFormed() ? value : fail('a string of the JSON header is not valid Unicode', start)
  }

  function integer(): number {
    const start = at
    while (at < text.length && text[at]! >= '0' && text[at]! <= '9') at++
    const digits = text.slice(start, at)
    if (digits === '') fail('a non-negative integer, a string, an array or an object is expected in the JSON header', start)
    if (digits.length > MAX_DIGITS || !Number.isSafeInteger(Number(digits))) fail('an integer of the JSON header is too large', start)
    return digits.length > 1 && digits[0] === '0' ? fail('an integer of the JSON header begins with 0', start) : Number(digits)
  }

  /** Members until `close`, separated by commas. */
  function members(close: string, member: () => void): void {
    if (take(close)) return
    do member()
    while (take(','))
    if (!take(close)) fail(`"," or "${close}" is expected in the JSON header`, at)
  }

  function object(depth: number): HeaderValue {
    const map = new Map<string, HeaderValue>()
    members('}', () => {
      const start = at
      const key = string()
      if (map.has(key)) fail('a key of the JSON header stands twice', start)
      if (!take(':')) fail('":" is expected in the JSON header', at)
      map.set(key, value(depth + 1))
    })
    return map
  }

  function array(depth: number): HeaderValue {
    const list: HeaderValue[] = []
    members(']', () => void list.push(value(depth + 1)))
    return list
  }

  function value(depth: number): HeaderValue {
    if (depth > DEPTH) fail(`the JSON header is nested more than ${DEPTH} levels deep`, at)
    if (take('{')) return object(depth)
    if (take('[')) return array(depth)
    if (text[at] === '"') return string()
    return integer()
  }

  const result = value(1)
  space()
  if (at !== text.length) fail('something follows the JSON header', at)
  return result
}
