/**
 * Work in steps: a generator that yields every few hundred units of work and returns the result. The caller decides whether to run it at once (`finish`) or
 * to let others on the same thread take turns (slices.ts). A step takes less than a millisecond or so, whatever the input.
 */
export type Steps<T> = Generator<undefined, T, undefined>

/** Runs all steps now. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** UTF-16 units of a text that one step of simple work (copying, comparing) may take. */
const UNITS = 1 << 14

/** A text changed piece by piece, never cut inside a surrogate pair. @param change of a piece; the results are joined */
export function* inPieces(text: string, change: (piece: string) => string): Steps<string> {
  if (text.length <= UNITS) return change(text)
  const parts: string[] = []
  for (let start = 0; start < text.length;) {
    let end = Math.min(text.length, start + UNITS)
    if (end < text.length && text.codePointAt(end - 1)! > 0xffff) end--
    parts.push(change(text.slice(start, end)))
    start = end
    yield
  }
  return parts.join('')
}
