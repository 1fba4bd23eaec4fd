/**
 * Every op and function on every instruction set and on 1, 2 and 3 threads gives the bits of the reference executor.
 */
// own process: it computes for long
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { opHeader } from '../scripts/op-table.ts'
import { addon, nativeExecutor } from '../src/exec/native.ts'
import type { Buffers } from '../src/exec/plan.ts'
import { referenceExecutor } from '../src/exec/reference.ts'
import * as f from '../src/lib/functions.ts'
import { Philox } from '../src/lib/philox.ts'
import { opTable } from '../src/ops/table.ts'
import { difference, opCases } from './cases.ts'

const native = addon()
const sets = native?.instructionSets ?? []

test('the native kernels are built on the machines that test Verit', () => assert.notEqual(native, undefined))

test('native/ops.gen.h is what scripts/op-table.ts writes from src/ops', () => {
  assert.equal(readFileSync(new URL('../native/ops.gen.h', import.meta.url), 'utf8'), opHeader())
})

test('the addon has exactly the ops of the table', () =>
  assert.deepEqual([...native!.ops].sort(), [...opTable.keys()].sort()))

/**
 * Differences from the reference, by instruction set. Each case draws its inputs once and runs the reference once:
 * these cost more than all kernels together.
 */
async function differences(): Promise<Map<string, string[]>> {
  const reference = referenceExecutor()
  const executors = sets.flatMap(set =>
    [1, 2, 3].map(threads => {
      return { set, threads, executor: nativeExecutor({ threads, instructionSet: set })! }
    })
  )
  const found = new Map(sets.map(set => [set, [] as string[]]))
  for (const c of opCases()) {
    const inputs = c.buffers()
    const want = copyOf(inputs, n => new ArrayBuffer(n))
    const slow = reference.load(c.plan)
    await slow.run(want, c.bindings)
    slow.dispose()
    const got = copyOf(inputs, n => executors[0]!.executor.allocate(n))
    for (const { set, threads, executor } of executors) {
      for (const [name, bytes] of Object.entries(inputs)) bytesOf(got[name]!).set(bytesOf(bytes))
      const loaded = executor.load(c.plan)
      await loaded.run(got, c.bindings)
      const d = difference(c, got, want)
      if (d !== null) found.get(set)!.push(`${c.name} on ${threads} threads: ${d}`)
      loaded.dispose()
    }
  }
  return found
}

function copyOf(buffers: Buffers, allocate: (bytes: number) => ArrayBuffer): Buffers {
  return Object.fromEntries(
    Object.entries(buffers).map(([name, view]) => {
      const copy = new Uint8Array(allocate(view.byteLength), 0, view.byteLength)
      copy.set(bytesOf(view))
      return [name, copy]
    })
  )
}

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength)

let all: Promise<Map<string, string[]>> | undefined

for (const set of sets) {
  test(`${set} runs every op to the bits of the reference, on any number of threads`, async () => {
    all ??= differences()
    assert.deepEqual((await all).get(set), [])
  })

  test(`${set} computes the functions to the bits of TypeScript`, () => {
    const names = ['exp32', 'log32', 'tanh32', 'erf32', 'sin32', 'cos32'] as const
    const special = [
      0,
      -0,
      1,
      -1,
      1e-45,
      -1e-45,
      3.4e38,
      -3.4e38,
      Infinity,
      -Infinity,
      NaN,
      88.72,
      89.1,
      -103.9,
      -104.1,
      4,
      -4,
      0.0625,
      10,
      1048576,
      1048577
    ]
    const random = new Philox(7n, 99, 0)
    const x = Float32Array.from({ length: 20000 }, (_, i) =>
      i < special.length ? special[i]! : random.normal(i) * 2 ** ((i % 24) - 12)
    )
    for (const [which, name] of names.entries()) {
      const y = new Float32Array(x.length)
      native!.functions(set, which, x, y)
      const bad = x.findIndex((v, i) => !Object.is(y[i], f[name](v)))
      assert.equal(bad, -1, `${name}(${x[bad]}) is ${y[bad]}, not ${f[name](x[bad]!)}`)
    }
  })
}
