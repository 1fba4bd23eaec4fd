/**
 * The addon's functions take any arguments at all: what they cannot use is an error with a code of ours, never the end
 * of the process.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { addon } from '../src/exec/native.ts'

const native = addon()!
const detached = new Float32Array(4)
structuredClone(detached.buffer, { transfer: [detached.buffer] })
const shared = new SharedArrayBuffer(64)
const pool = native.createPool(1, new Int32Array())
const plan = native.createPlan(
  'baseline',
  Int32Array.of(native.ops.indexOf('gelu'), 1, 1, 2, 0, 1, 0, 1, 0, 4),
  Float64Array.of(0, 0, 16, 1, 0, 16),
  Float64Array.of(16, 16),
  new Int32Array(2)
)

/**
 * Whatever JavaScript has, and what the functions give and take. No number here asks for much memory or many threads.
 */
const anything = fc.oneof(
  fc.anything({
    withTypedArray: true,
    withBigInt: true,
    withDate: true,
    withSparseArray: true,
    withObjectString: true
  }),
  fc.constantFrom<unknown>(
    pool,
    plan,
    detached,
    detached.buffer,
    shared,
    new Float32Array(shared),
    new DataView(new ArrayBuffer(8)),
    new Uint8Array(new ArrayBuffer(9), 1),
    new Int32Array(2),
    new Float64Array(3),
    [new Float32Array(4), new Float32Array(4)],
    [new Float32Array(4), new Uint8Array(new ArrayBuffer(20), 1, 16)],
    [new Float32Array(4), detached],
    [shared, shared],
    Array(2),
    Array(1025),
    'baseline',
    'avx2',
    '',
    'x'.repeat(100),
    0,
    1,
    2,
    -1,
    1.5,
    NaN,
    Infinity,
    -Infinity,
    1e15,
    1e300,
    2 ** 31,
    Symbol('x'),
    () => undefined,
    new Proxy([], {
      get: () => {
        throw new Error('from a proxy')
      }
    })
  )
)

function wellFormed(e: unknown): true {
  assert.ok(
    e instanceof Error &&
      ((e as { code?: string }).code?.startsWith('VERIT_') === true || e.message === 'from a proxy'),
    String(e)
  )
  return true
}

test('no arguments bring a function of the addon down', async () => {
  const calls = ['allocate', 'populate', 'createPool', 'createPlan', 'run', 'functions'] as const
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...calls), fc.array(anything, { maxLength: 6 }), async (name, args) => {
      if (name === 'createPool' && typeof args[0] === 'number' && args[0] > 8) return
      if (name === 'allocate' && typeof args[0] === 'number' && args[0] > 1e6 && args[0] < 1e15) return
      try {
        await (native[name] as (...a: unknown[]) => unknown)(...args)
      } catch (e) {
        wellFormed(e)
      }
    }),
    { numRuns: 3000 }
  )
})

test('a lock is refused without its two arguments', () => {
  const lock = native.lock as (...a: unknown[]) => unknown
  for (const args of [
    [],
    [1],
    ['1', true],
    [-1, true],
    [NaN, true],
    [1e15, true],
    [1, 'true'],
    [1, 0],
    [null, undefined]
  ])
    assert.throws(() => lock(...args), wellFormed)
})

test('runs over detached, short, misaligned and shared memory are refused or completed', async () => {
  const good = (): ArrayBufferView => new Float32Array(4)
  const bad = [
    detached,
    detached.buffer,
    new Float32Array(3),
    new Uint8Array(new ArrayBuffer(20), 1, 16),
    {},
    null,
    undefined,
    1,
    'buffer',
    shared
  ]
  for (const b of bad) {
    for (const list of [
      [b, good()],
      [good(), b]
    ] as ArrayBufferView[][])
      await assert.rejects(async () => native.run(pool, plan, list, new Int32Array(2)), wellFormed)
  }
  await native.run(pool, plan, [good(), good()], new Int32Array(2))
})
