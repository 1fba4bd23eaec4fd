/** Six steps: three of warm-up, and three after it. test/full trains for 20. */
// own process: it computes for long
import { test } from 'node:test'
import { sameBits } from './same-bits-training.ts'

const STEPS = 6

for (const kind of ['gpt', 'bitnet'] as const) {
  const everywhere = 'every executor, instruction set and number of threads'
  const name = `${STEPS} steps of a tiny ${kind} end in one digest on ${everywhere}`
  test(name, () => sameBits(kind, STEPS))
}
