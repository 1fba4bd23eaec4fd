/**
 * Plans and moments that could make the kernels touch memory that is not theirs: handed to the addon itself, past the
 * checks of the graph.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker, isMainThread, parentPort } from 'node:worker_threads'
import { addon, nativeExecutor } from '../src/exec/native.ts'
import { PlanBuilder } from '../src/graph/plan-builder.ts'

const native = addon()!

/** Two runs of some tenths of a second, over memory of the addon. */
function longRuns(): Promise<void[]> {
  const n = 800
  const executor = nativeExecutor({ threads: 2 })!
  const builder = new PlanBuilder()
  const [a, b] = ['a', 'b'].map(name => builder.tensor(name, 'f32', n * n)) as [number, number]
  const c = builder.tensor('arena', 'f32', n * n)
  for (let i = 0; i < 60; i++)
    builder.step('matmul', [a, b, -1], [c], { M: n, Nc: n, K: n, transposeA: 0, layoutB: 0, hasBias: 0 })
  const loaded = executor.load(builder.build())
  const memory = (): Float32Array => new Float32Array(executor.allocate(4 * n * n))
  return Promise.all([1, 2].map(() => loaded.run({ a: memory(), b: memory() })))
}

type Triple = readonly [buffer: number, offset: number, bytes: number]

/** Runs one step on the addon. Attributes: a number, or { symbol } for one of the two sizes of a run. */
function run(
  op: string,
  inputs: number[],
  outputs: number[],
  attributes: (number | { symbol: number })[],
  tensors: Triple[],
  buffers: ArrayBufferView[],
  symbols = [1, 1],
  set = 'baseline'
): Promise<void> {
  const words = attributes.flatMap(a => (typeof a === 'number' ? [0, a] : [1 + a.symbol, 0]))
  const program = [
    native.ops.indexOf(op),
    inputs.length,
    outputs.length,
    attributes.length,
    ...inputs,
    ...outputs,
    ...words
  ]
  const plan = native.createPlan(
    set,
    Int32Array.from(program),
    Float64Array.from(tensors.flat()),
    Float64Array.from(buffers, b => b.byteLength),
    Int32Array.of(1, 1)
  )
  return native.run(native.createPool(2, new Int32Array()), plan, buffers, Int32Array.from(symbols))
}

const refused =
  (problem: RegExp) =>
  (e: unknown): boolean => {
    assert.equal((e as { code: string }).code, 'VERIT_PLAN')
    assert.match((e as Error).message, problem)
    return true
  }

if (!isMainThread) {
  void longRuns()
  setTimeout(() => parentPort!.postMessage('running'), 20)
} else {
  test('sizes whose product passes 64 bits are too large for a tensor, not small again', async () => {
    const most = 2 ** 31 - 1
    await assert.rejects(
      async () => run('add', [0, 0], [0], [most, most], [[0, 0, 64]], [new Float32Array(16)]),
      refused(/too short/)
    )
    await assert.rejects(
      async () =>
        run(
          'attention',
          [0, 0, 0, 0, 0, 0, -1],
          [0, 0, -1],
          [most, 1, 1, 1, most, 16, 1, 0, 0, 0, 0, 0],
          [[0, 0, 64]],
          [new Float32Array(16)]
        ),
      refused(/too short/)
    )
  })

  test('packed weights with partial blocks, or with sums beyond 32 bits, are refused', async () => {
    const raw = new Uint8Array(1 << 12)
    const t = new Uint8Array(1 << 12)
    const tensors: Triple[] = [
      [0, 0, 1 << 12],
      [1, 0, 1 << 12]
    ]
    for (const format of [1, 2])
      await assert.rejects(
        async () => run('repackTernary', [0], [1], [16, 80, format, 0], tensors, [raw, t]),
        refused(/not allowed/)
      )
    await run('repackTernary', [0], [1], [16, 80, 0, 0], tensors, [raw, t])
    await assert.rejects(
      async () => run('ternaryMatmul', [0, 0, 0, 0, 0], [1], [1, 1, (1 << 21) + 16], tensors, [raw, t]),
      refused(/not allowed/)
    )
  })

  test('a tensor that the attributes do not ask for is not read', async () => {
    const a = new Float32Array(16).fill(1)
    const y = new Float32Array(16)
    await run(
      'matmul',
      [0, 0, 1],
      [2],
      [1, 16, 1, 0, 0, 0],
      [
        [0, 0, 64],
        [1, 0, 0],
        [2, 0, 64]
      ],
      [a, new Float32Array(0), y]
    )
    assert.deepEqual([...y], Array(16).fill(1))
  })

  test('sizes that fit at their limits are checked again for each run', async () => {
    const memory = (): Float32Array => new Float32Array(1024)
    const attend = (groups: number): Promise<void> =>
      run(
        'attention',
        [0, 0, 0, 1, 1, 2, -1],
        [3, -1, -1],
        [1, 1, { symbol: 0 }, 1, 16, 16, 1, 0, 0, 0, 0, 0],
        [
          [0, 0, 4096],
          [1, 0, 4],
          [2, 0, 4],
          [3, 0, 4096]
        ],
        [memory(), Int32Array.of(0), Int32Array.of(1), memory()],
        [groups, 1]
      )
    await attend(1)
    await assert.rejects(async () => attend(0), refused(/not allowed/))
  })

  test('a page, a sequence or a length of attention that is not there is an error and is not read', async () => {
    const attend = (pages: number[], sequence: number, length: number): Promise<void> =>
      run(
        'attention',
        [0, 0, 0, 1, 2, 3, -1],
        [4, -1, -1],
        [1, 1, 1, 1, 32, 32, 2, 0, 0, 0, 0, 0],
        [
          [0, 0, 128],
          [1, 0, 16],
          [2, 0, 4],
          [3, 0, 4],
          [4, 0, 4]
        ],
        [
          new Float32Array(32),
          Int32Array.from(pages),
          Int32Array.of(sequence),
          Int32Array.of(length),
          new Float32Array(1)
        ]
      )
    await attend([0, 1, 1, 0], 1, 32)
    await attend([9, 9, 1, -7], 1, 16) // what lies beyond the length is not looked at
    const wrong: [number[], number, number][] = [
      [[0, 2, 0, 1], 0, 17],
      [[-1, 0, 0, 1], 0, 1],
      [[0, 1, 0, 2 ** 31 - 1], 1, 32],
      [[0, 1, 0, 1], 2, 1],
      [[0, 1, 0, 1], -1, 1],
      [[0, 1, 0, 1], 0, 33],
      [[0, 1, 0, 1], 0, 0]
    ]
    for (const [pages, sequence, length] of wrong)
      await assert.rejects(async () => attend(pages, sequence, length), refused(/out of range/))
  })

  test(
    'activations that quantizeBlocks cannot give, and experts that do not exist, are errors on every ' +
      'instruction set',
    async () => {
      const multiply = (q: number, sum: number, set: string): Promise<void> =>
        run(
          'matmulQ4_0',
          [0, 1, 2, 3],
          [4],
          [1, 1, 32],
          [
            [0, 0, 32],
            [1, 0, 4],
            [2, 0, 8],
            [3, 0, 320],
            [4, 0, 4]
          ],
          [
            new Int8Array(32).fill(q),
            new Float32Array(1),
            new Int32Array(2).fill(sum),
            new Uint8Array(320),
            new Float32Array(1)
          ],
          [1, 1],
          set
        )
      const choose = (experts: number[], set: string): Promise<void> =>
        run(
          'expertMatmulQ4_0',
          [0, 1, 2, 3, 4],
          [5],
          [1, 1, 32, 2, 2, 1],
          [
            [0, 0, 32],
            [1, 0, 4],
            [2, 0, 8],
            [3, 0, 8],
            [4, 0, 640],
            [5, 0, 8]
          ],
          [
            new Int8Array(32),
            new Float32Array(1),
            new Int32Array(2),
            Int32Array.from(experts),
            new Uint8Array(640),
            new Float32Array(2)
          ],
          [1, 1],
          set
        )
      for (const set of native.instructionSets) {
        await multiply(1, 16, set)
        for (const [q, sum] of [
          [1, 15],
          [-128, -2048]
        ] as const)
          await assert.rejects(async () => multiply(q, sum, set), refused(/out of range/))
        await choose([1, 0], set)
        for (const wrong of [
          [2, 0],
          [0, 2],
          [-1, 0]
        ])
          await assert.rejects(async () => choose(wrong, set), refused(/out of range/))
      }
    }
  )

  test(
    'block-quantised weights whose rows are not whole blocks, and factors that are not finite, are ' + 'refused',
    async () => {
      const raw = new Uint8Array(4096)
      const w = new Uint8Array(8192)
      const tensors: Triple[] = [
        [0, 0, 4096],
        [1, 0, 8192]
      ]
      for (const [name, K] of [
        ['Q4_0', 48],
        ['Q4_K', 128],
        ['IQ4_XS', 32],
        ['MXFP4', 16]
      ] as const) {
        await assert.rejects(
          async () => run(`repack${name}`, [0], [1], [1, K], tensors, [raw, w]),
          refused(/not allowed/)
        )
      }
      await run('repackQ4_K', [0], [1], [1, 256], tensors, [raw, w])
      raw[3] = 0x7c // dmin is infinite
      await assert.rejects(
        async () => run('repackQ4_K', [0], [1], [1, 256], tensors, [raw, w]),
        refused(/out of range/)
      )
    }
  )

  test('rows that are not whole sequences are refused by the gradient of attention', async () => {
    const buffers = [new Float32Array(1024), new Float32Array(64), new Float32Array(64), new Float32Array(64)]
    const tensors: Triple[] = buffers.map((b, i) => [i, 0, b.byteLength])
    await assert.rejects(
      async () => run('attentionGrad', [0, 0, 0, 0, 0, 0], [1, 2, 3], [5, 1, 1, 1, 3, 0, 0], tensors, buffers),
      refused(/out of range/)
    )
  })

  test('a position of a short convolution that is not there is an error and is not read', async () => {
    const convolve = (pages: number[], sequence: number, length: number): Promise<void> =>
      run(
        'shortConv',
        [0, 1, 2, 3, 4],
        [5],
        [1, 1, 3, 32, 32, 2],
        [
          [0, 0, 128],
          [1, 0, 12],
          [2, 0, 16],
          [3, 0, 4],
          [4, 0, 4],
          [5, 0, 4]
        ],
        [
          new Float32Array(32),
          new Float32Array(3),
          Int32Array.from(pages),
          Int32Array.of(sequence),
          Int32Array.of(length),
          new Float32Array(1)
        ]
      )
    await convolve([0, 1, 1, 0], 1, 32)
    await convolve([-5, 1, 9, 9], 0, 19) // only the last three positions are looked at
    const wrong: [number[], number, number][] = [
      [[0, 2, 0, 1], 0, 17],
      [[-1, 0, 0, 1], 0, 18],
      [[0, 1, 0, 2 ** 31 - 1], 1, 32],
      [[0, 1, 0, 1], 2, 1],
      [[0, 1, 0, 1], 0, 33],
      [[0, 1, 0, 1], 0, 0]
    ]
    for (const [pages, sequence, length] of wrong)
      await assert.rejects(async () => convolve(pages, sequence, length), refused(/out of range/))
    const buffers = [new Float32Array(1024), new Float32Array(64), new Float32Array(64)]
    const tensors: Triple[] = buffers.map((b, i) => [i, 0, b.byteLength])
    await assert.rejects(
      async () => run('shortConvGrad', [0, 0, 0], [1, 2], [5, 1, 2, 3], tensors, buffers),
      refused(/out of range/)
    )
  })

  test('an expert that is not there is an error and is not read', async () => {
    const tensors: Triple[] = [
      [0, 0, 1024],
      [1, 0, 8],
      [2, 0, 1024]
    ]
    const plans: [string, number[], number[]][] = [
      ['expertMatmul', [0, 0, 1], [1, 3, 2, 4, 2, 1, 1]],
      ['expertMatmulGrad', [0, 0, 1], [1, 3, 2, 4, 2, 1]],
      ['topExpertsGrad', [0, 1, 0], [1, 4, 2, 0, 0, 0]]
    ]
    for (const [op, inputs, attributes] of plans) {
      const choose = (...experts: number[]): Promise<void> =>
        run(op, inputs, [2], attributes, tensors, [
          new Float32Array(256),
          Int32Array.from(experts),
          new Float32Array(256)
        ])
      await choose(3, 0)
      for (const wrong of [4, -1, 2 ** 31 - 1])
        await assert.rejects(async () => choose(0, wrong), refused(/out of range/))
    }
    const choose = (...a: number[]): Promise<void> =>
      run(
        'topExperts',
        [0, -1],
        [1, 2],
        a,
        [
          [0, 0, 1024],
          [1, 0, 1024],
          [2, 0, 1024]
        ],
        [new Float32Array(256), new Int32Array(256), new Float32Array(256)]
      )
    await choose(1, 4, 4, 0, 0, 0, 0)
    for (const wrong of [
      [1, 4, 5, 0],
      [1, 4, 0, 0],
      [1, 4, 2, 3]
    ])
      await assert.rejects(async () => choose(...wrong, 0, 0, 0), refused(/not allowed/))
  })

  test('rows without columns leave everything as it is', async () => {
    const codes = new Int8Array(64).fill(3)
    const scales = new Float32Array(16).fill(1)
    const y = new Float32Array(16).fill(7)
    await run(
      'dequantizeRows',
      [0, 1],
      [2],
      [16, 0],
      [
        [0, 0, 64],
        [1, 0, 64],
        [2, 0, 64]
      ],
      [codes, scales, y]
    )
    await run(
      'ternaryMatmul',
      [0, 1, 0, 0, 1],
      [2],
      [0, 16, 16],
      [
        [0, 0, 64],
        [1, 0, 64],
        [2, 0, 64]
      ],
      [codes, scales, y]
    )
    assert.deepEqual([...y], Array(16).fill(7))
  })

  test('tensors that lie over one another are read and written within their buffer', async () => {
    const x = Float32Array.from({ length: 32 }, (_, i) => i)
    await run(
      'split',
      [0],
      [1, 2, -1],
      [1, 8, 8, 0],
      [
        [0, 0, 64],
        [0, 16, 32],
        [0, 64, 32]
      ],
      [x]
    )
    assert.deepEqual([...x.subarray(4, 12)], [0, 1, 2, 3, 4, 5, 6, 7])
    assert.deepEqual([...x.subarray(24)], [24, 25, 26, 27, 28, 29, 30, 31])
  })

  test('a sum that no row of codes has is taken off as 32 bits do', async () => {
    const y = new Float32Array(16)
    const one = Float32Array.of(1)
    await run(
      'ternaryMatmul',
      [0, 1, 2, 3, 1],
      [4],
      [1, 16, 16],
      [
        [0, 0, 16],
        [1, 0, 4],
        [2, 0, 4],
        [3, 0, 64],
        [4, 0, 64]
      ],
      [new Int8Array(16), one, Int32Array.of(-(2 ** 31)), new Uint8Array(64).fill(0x55), y]
    )
    assert.deepEqual([...y], Array(16).fill(-(2 ** 31)))
  })

  test('f16 infinities and NaN in panels are what they are on every instruction set', async () => {
    const halves = Uint16Array.from(
      { length: 32 },
      (_, i) => [0x3c00, 0x7c00, 0xfc00, 0x7e00, 0x7c01, 0x0001, 0x8000][i % 7]!
    )
    const want = Array.from(halves, (_, i) => [1, Infinity, -Infinity, NaN, NaN, 2 ** -24, 0][i % 7]!)
    for (const set of native.instructionSets) {
      const y = new Float32Array(96)
      await run(
        'matmul',
        [0, 1, -1],
        [2],
        [3, 32, 1, 0, 3, 0],
        [
          [0, 0, 12],
          [1, 0, 64],
          [2, 0, 384]
        ],
        [new Float32Array(3).fill(1), halves, y],
        [1, 1],
        set
      )
      assert.deepEqual([...y], [...want, ...want, ...want], set)
    }
  })

  test(
    'bf16 values of every kind are widened exactly, and panels of values that are not finite are ' + 'refused',
    async () => {
      const bits = Uint16Array.from(
        { length: 32 },
        (_, i) => [0x3f80, 0x7f80, 0xff80, 0x7fc0, 0x7f81, 0x0001, 0x8000][i % 7]!
      )
      const want = Array.from(bits, (_, i) => [1, Infinity, -Infinity, NaN, NaN, 2 ** -133, 0][i % 7]!)
      for (const set of native.instructionSets) {
        const y = new Float32Array(96)
        await run(
          'matmul',
          [0, 1, -1],
          [2],
          [3, 32, 1, 0, 4, 0],
          [
            [0, 0, 12],
            [1, 0, 64],
            [2, 0, 384]
          ],
          [new Float32Array(3).fill(1), bits, y],
          [1, 1],
          set
        )
        assert.deepEqual([...y], [...want, ...want, ...want], set)
        const pack = (value: number, half: number): Promise<void> =>
          run(
            'halfPanels',
            [0],
            [1],
            [2, 1, half],
            [
              [0, 0, 4],
              [1, 0, 64]
            ],
            [Uint16Array.of(0, value), new Uint16Array(32)],
            [1, 1],
            set
          )
        for (const value of [0x7f80, 0xff80, 0x7f81])
          await assert.rejects(async () => pack(value, 2), refused(/out of range/))
        await pack(0x7f7f, 2)
        await pack(0x7c00, 2)
        await assert.rejects(async () => pack(0x7c00, 1), refused(/out of range/))
      }
    }
  )

  test('a list of buffers may change while a run is under way', async () => {
    const n = 1 << 20
    const list = [new Float32Array(n), new Float32Array(n)]
    const program = Int32Array.of(native.ops.indexOf('gelu'), 1, 1, 2, 0, 1, 0, 1, 0, n)
    const plan = native.createPlan(
      'baseline',
      program,
      Float64Array.of(0, 0, 4 * n, 1, 0, 4 * n),
      Float64Array.of(4 * n, 4 * n),
      Int32Array.of(1, 1)
    )
    const running = native.run(native.createPool(2, new Int32Array()), plan, list, Int32Array.of(1, 1))
    list.length = 0
    for (let i = 0; i < 50; i++) new Float32Array(n).fill(i)
    await running
  })

  test('a worker thread that is terminated during a run takes nothing else down', async () => {
    for (let i = 0; i < 3; i++) {
      const worker = new Worker(new URL(import.meta.url))
      await new Promise(resolve => worker.once('message', resolve))
      await worker.terminate()
    }
    await longRuns()
  })
}
