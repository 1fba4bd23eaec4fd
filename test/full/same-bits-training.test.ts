import { test } from 'node:test'
import { sameBits } from '../same-bits-training.ts'

const STEPS = 20

for (const kind of ['gpt', 'bitnet'] as const) {
  const everywhere = 'every executor, instruction set and number of threads'
  const name = `${STEPS} steps of a tiny ${kind} end in one digest on ${everywhere}`
  test(name, () => sameBits(kind, STEPS))
}
