/**
 * Turns for long work on a thread that also serves others. The work is cut into slices; each slice waits for a turn,
 * and a round of the event loop has one turn. So other work waits for one slice, however many bodies are read.
 */

const waiting: (() => void)[] = []

/** Resolves when the next slice may run: in a later round of the event loop, in the order of asking. */
export function turn(): Promise<void> {
  return new Promise(resolve => {
    if (waiting.push(resolve) === 1) setImmediate(give)
  })
}

function give(): void {
  waiting.shift()!()
  if (waiting.length > 0) setImmediate(give)
}
