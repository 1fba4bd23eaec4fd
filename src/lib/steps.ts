/**
 * Work in steps: a generator that yields every few hundred units of work and returns the result. The caller runs it at
 * once (`finish`) or in turns with others on the same thread (`inTurns`). A step takes about a millisecond at most,
 * whatever the input.
 */
import { Mutex, turn } from './turns.ts'

export type Steps<T> = Generator<undefined, T, undefined>

/** Runs all steps now. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** How long steps are run before the next turn is waited for. */
const SLICE_MS = 2

/** Long work that holds memory runs one after the other. */
const long = new Mutex()

export interface TurnOptions {
  /**
   * Units of work, for example UTF-16 units of a text. Up to 4,096 it begins at once; beyond 65,536 it waits for other
   * long work. Default 0
   */
  size?: number
  /** Ends the work before its next step. The promise is then resolved with undefined. */
  signal?: AbortSignal | undefined
}

/**
 * Runs all steps, a slice of about two milliseconds per turn. @returns a promise that rejects with an error of a step
 */
export function inTurns<T>(steps: Steps<T>, { size = 0, signal }: TurnOptions = {}): Promise<T | undefined> {
  const work = async (): Promise<T | undefined> => {
    if (size > 4096) await turn()
    for (;;) {
      for (const until = performance.now() + SLICE_MS; performance.now() < until;) {
        if (signal?.aborted === true) return undefined
        const step = steps.next()
        if (step.done === true) return step.value
      }
      await turn()
    }
  }
  return size > 1 << 16 ? long.run(work) : work()
}

/** UTF-16 units of a text that one step of simple work (copying, comparing) may take. */
const UNITS = 1 << 14

/**
 * A text changed piece by piece, never cut inside a surrogate pair. @param change of a piece; the results are joined
 */
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
