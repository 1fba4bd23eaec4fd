/**
 * Reads the JSON header of a safetensors file: objects, arrays, strings and non-negative integers, at most four levels
 * deep, which is all the format needs. Objects become Maps, so that `__proto__` is a key like any other.
 */
import { walkJson } from '../lib/json-walk.ts'

export type HeaderValue = string | number | readonly HeaderValue[] | ReadonlyMap<string, HeaderValue>

const DEPTH = 4
/**
 * A tensor has up to 14 values: itself, its dtype, the list of dimensions with 8 of them, and the list of two offsets.
 * The rest is for the metadata.
 */
const VALUES = 1 << 20
/** Tensors of a file, and its metadata; or names in these. */
const NAMES = 65_537

/** Parses the whole text; `fail` is called with a message and the index of the error. */
export function parseHeaderJson(text: string, fail: (problem: string, index: number) => never): HeaderValue {
  const root: HeaderValue[] = []
  const open: (HeaderValue[] | Map<string, HeaderValue>)[] = [root]
  const names: string[] = []
  const put = (value: HeaderValue): void => {
    const into = open.at(-1)!
    if (into instanceof Map) into.set(names.pop()!, value)
    else into.push(value)
  }
  walkJson(
    text,
    { depth: DEPTH, scalars: 'counts', names: NAMES, values: VALUES },
    (problem, index) => fail(`in the JSON header, ${problem}`, index),
    {
      begin(object) {
        const value = object ? new Map<string, HeaderValue>() : []
        put(value)
        open.push(value)
      },
      end: () => void open.pop(),
      name: name => void names.push(name),
      value: put
    }
  )
  return root[0]!
}
