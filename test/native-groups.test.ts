/** Steps that need one another are not run together, wherever their memory lies. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nativeExecutor } from '../src/exec/native.ts'
import { referenceExecutor } from '../src/exec/reference.ts'
import type { Plan } from '../src/exec/plan.ts'
import { PlanBuilder } from '../src/graph/plan-builder.ts'
import { Philox } from '../src/lib/philox.ts'

/** A row is a chunk. */
const ROWS = 16
const WIDTH = 16_384
const SLOTS = 4
const BYTES = 4 * ROWS * WIDTH

/**
 * Slow and quick steps between random slots of a buffer that has two names. Quick ones take rows in reverse: their
 * first chunk needs the last one of a step before, or what they read last is what a step behind writes first.
 */
function mixture(seed: bigint, steps: number): Plan {
  const random = new Philox(seed, 99, 0)
  const builder = new PlanBuilder()
  let drawn = 0
  const below = (n: number): number => Math.floor(random.uniform(drawn++) * n)
  const tensor = (at: number): number => builder.tensor(['first', 'second'][below(2)]!, 'f32', ROWS * WIDTH, at * BYTES)
  for (const name of ['first', 'second']) builder.tensor(name, 'f32', SLOTS * ROWS * WIDTH)
  const reverse = builder.tensor('reverse', 'i32', ROWS)
  for (let i = 0; i < steps; i++) {
    const from = below(SLOTS)
    const to = (from + 1 + below(SLOTS - 1)) % SLOTS
    if (i % 2 === 0) builder.step('gelu', [tensor(from)], [tensor(to)], { N: ROWS, C: WIDTH })
    else builder.step('embedding', [tensor(from), reverse], [tensor(to)], { N: ROWS, C: WIDTH, V: ROWS })
  }
  return builder.build()
}

test('steps over shared memory give what they give one after the other, on any number of threads', async () => {
  // Gelu keeps these numbers.
  const numbers = (): Float32Array => Float32Array.from({ length: SLOTS * ROWS * WIDTH }, (_, i) => 8 + i)
  const reverse = Int32Array.from({ length: ROWS }, (_, i) => ROWS - 1 - i)
  for (const seed of [1n, 2n, 3n, 4n]) {
    const plan = mixture(seed, 20)
    const want = numbers()
    await referenceExecutor().load(plan).run({ first: want, second: want, reverse })
    for (const threads of [1, 2, 3]) {
      const got = numbers()
      await nativeExecutor({ threads })!.load(plan).run({ first: got, second: got, reverse })
      assert.ok(Buffer.from(got.buffer).equals(Buffer.from(want.buffer)), `seed ${seed}, ${threads} threads`)
    }
  }
})
