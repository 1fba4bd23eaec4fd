import { test } from 'node:test'
import { sameBits } from '../same-bits-training.ts'

const STEPS = 20

for (const kind of ['gpt', 'bitnet'] as const) {
  const name = `${STEPS} steps of a tiny ${kind} end in one digest on every executor, instruction set and number of threads`
  test(name, () => sameBits(kind, STEPS))
}
