import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { opCases } from '../../test/cases.ts'
import { compile, type Compiled } from '../graph/compile.ts'
import { Graph } from '../graph/graph.ts'
import { PlanBuilder } from '../graph/plan-builder.ts'
import { VeritError } from '../lib/errors.ts'
import type { Plan } from './plan.ts'
import { referenceExecutor } from './reference.ts'

const executor = referenceExecutor()

function small(): Compiled {
  const g = new Graph()
  const x = g.embedding(g.parameter('table', [5, 4]), g.input('ids', 'i32', ['rows']))
  return compile(g, { limits: { rows: 3, outputs: 1 }, outputs: { y: g.rmsNorm(g.gelu(x), g.parameter('gain', [4])) } })
}

const buffers = (): Record<string, ArrayBufferView> => {
  const weights = new Float32Array(48)
  weights.fill(1)
  return { weights, ids: Int32Array.from({ length: 16 }, () => 4), y: new Float32Array(16) }
}

const refused =
  (problem: RegExp) =>
  (e: unknown): boolean => {
    assert.ok(VeritError.is(e, 'VERIT_PLAN'), String(e))
    assert.match(e.message, problem)
    return true
  }

test('sizes are bound at run time, and rows beyond them stay untouched', async () => {
  const loaded = executor.load(small().plan)
  const b = buffers()
  await loaded.run(b, { rows: 2 })
  const y = [...(b['y'] as Float32Array)]
  assert.ok(y.slice(0, 8).every(v => v > 0.9 && v < 1.1) && y.slice(8).every(v => v === 0))
})

test('a run with missing or short buffers, sizes over the limits or an index out of range is refused', async () => {
  const loaded = executor.load(small().plan)
  const { y: _, ...missing } = buffers()
  await assert.rejects(loaded.run(missing), refused(/buffer y is missing/))
  await assert.rejects(
    loaded.run(Object.create({ ...buffers() }) as Record<string, ArrayBufferView>),
    refused(/buffer weights is missing/)
  )
  await assert.rejects(
    loaded.run({ ...buffers(), weights: new Float32Array(16) }),
    refused(/weights has 64 bytes and needs 192/)
  )
  await assert.rejects(
    loaded.run({ ...buffers(), y: new Uint8Array(new ArrayBuffer(200), 2) }),
    refused(/multiple of 4/)
  )
  for (const rows of [4, -1, 1.5, NaN])
    await assert.rejects(loaded.run(buffers(), { rows }), refused(/the plan was made for 0 … 3/))
  for (const id of [5, -1])
    await assert.rejects(
      loaded.run({ ...buffers(), ids: Int32Array.from({ length: 16 }, (_v, i) => (i === 1 ? id : 0)) }),
      refused(/ids\[1\] is/)
    )
  // beyond the bound rows nothing is read
  await loaded.run({ ...buffers(), ids: Int32Array.from({ length: 16 }, (_v, i) => (i > 2 ? 99 : 0)) })
  loaded.dispose()
  await assert.rejects(loaded.run(buffers()), refused(/disposed/))
})

test('memory that cannot be had is an error of its own', () => {
  assert.throws(
    () => executor.allocate(2 ** 52),
    (e: unknown) => VeritError.is(e, 'VERIT_MEMORY')
  )
  const { plan } = small()
  assert.throws(
    () => executor.load({ ...plan, bufferBytes: [2 ** 52, ...plan.bufferBytes.slice(1)] }),
    (e: unknown) => VeritError.is(e, 'VERIT_MEMORY')
  )
})

test('runs of one plan are queued, and a refused one does not stop the next', async () => {
  const loaded = executor.load(small().plan)
  const bad = loaded.run({})
  const good = loaded.run(buffers())
  await assert.rejects(bad, refused(/missing/))
  await good
})

test('a plan that does not hold together is refused when it is loaded', () => {
  const { plan } = small()
  const tensors = plan.tensors
  const steps = plan.steps
  const edits: [Partial<Plan>, RegExp][] = [
    [{ steps: [{ ...steps[0]!, op: 'toString' }] }, /no op "toString"/],
    [{ steps: [{ ...steps[0]!, inputs: [0] }] }, /1 inputs, not 2/],
    [{ steps: [{ ...steps[0]!, inputs: [0, 99] }] }, /tensor 99, which does not exist/],
    [{ steps: [{ ...steps[0]!, inputs: [0, -1] }] }, /tensor -1/],
    [{ steps: [{ ...steps[0]!, attributes: steps[0]!.attributes.slice(1) }] }, /2 attributes, not 3/],
    [{ steps: [{ ...steps[0]!, attributes: [{ int: 1 }, { int: -4 }, { int: 5 }] }] }, /C is -4/],
    [{ steps: [{ ...steps[0]!, attributes: [{ int: 1 }, { f32: 4 }, { int: 5 }] }] }, /C must be an integer/],
    [
      { steps: [{ ...steps[0]!, attributes: [{ int: 1 }, { int: 2 ** 40 }, { int: 2 ** 40 }] }] },
      /cannot have the shape|bytes of f32/
    ],
    [{ tensors: tensors.map(t => ({ ...t, offset: t.offset + 4 })) }, /does not lie inside/],
    [{ tensors: tensors.map(t => ({ ...t, offset: 1 << 20 })) }, /does not lie inside/],
    [{ tensors: tensors.map(t => ({ ...t, buffer: 17 })) }, /buffer 17, which does not exist/],
    [{ tensors: tensors.map(t => ({ ...t, dtype: 'i8' as const })) }, /of i8, not/],
    [{ bufferBytes: plan.bufferBytes.map(() => NaN) }, /valid size/],
    [{ buffers: ['weights', 'ids', 'y', 'arena'] }, /begin with the arena/],
    [{ limits: { rows: 4, outputs: 1 } }, /bytes of/]
  ]
  for (const [edit, problem] of edits) assert.throws(() => executor.load({ ...plan, ...edit }), refused(problem))
  for (const [format, base3] of [
    [3, 0],
    [0, 2]
  ] as const) {
    const b = new PlanBuilder()
    const raw = b.tensor('raw', 'u8', 96)
    const t = b.tensor('t', 'u8', 1024)
    b.step('repackTernary', [raw], [t], { O: 1, K: 256, format, base3 })
    assert.throws(() => executor.load(b.build({ rows: 1, outputs: 1 })), refused(/cannot have the shape/))
  }
})

test('whatever is changed in a plan, loading and running it end well or with VERIT_PLAN', async () => {
  const plans = opCases().filter((_, i) => i % 9 === 0)
  const number = fc.oneof(fc.integer({ min: -3, max: 70 }), fc.constantFrom(2 ** 31, 2 ** 53, -1, 0.5, NaN, 1e300))
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat(), fc.nat(), number, async (which, part, place, value) => {
      const c = plans[which % plans.length]
      const plan = structuredClone(c!.plan) as unknown as Record<string, Record<string, unknown>[]>
      const step = plan['steps']![0] as Record<string, unknown[]>
      const lists = [
        step['inputs'],
        step['outputs'],
        step['attributes'],
        plan['bufferBytes'] as unknown[],
        plan['tensors']
      ]
      const list = lists[part % lists.length]
      const at = place % list!.length
      if (list === step['attributes']) list![at] = 'f32' in (list![at] as object) ? { f32: value } : { int: value }
      else if (list === plan['tensors'])
        (list![at] as Record<string, unknown>)[['buffer', 'offset', 'bytes'][place % 3]!] = value
      else list![at] = value
      try {
        const loaded = executor.load(plan as unknown as Plan)
        await loaded.run(c!.buffers(), c!.bindings)
      } catch (e) {
        assert.ok(VeritError.is(e, 'VERIT_PLAN') || VeritError.is(e, 'VERIT_MEMORY'), String(e))
      }
    }),
    { numRuns: 400 }
  )
})
