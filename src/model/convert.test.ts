import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { byteTokenizer } from '../bench/random-model.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { writeGguf } from '../formats/gguf-writer.ts'
import { gguf } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { f16Bits, f16Value } from '../lib/half.ts'
import { encodeTernary } from '../weights/ternary-tensor.ts'
import { parseModelConfig } from './config.ts'
import type { ModelConfig } from './config.ts'
import { convertModel } from './convert.ts'
import type { Conversion, ConvertOptions } from './convert.ts'
import { exportGguf } from './export-gguf.ts'
import { architectureOf, ggufName } from './gguf-config.ts'
import { initialWeights } from './initialise.ts'
import { loadModel } from './load-gguf.ts'
import { ggufSource } from './model-source.ts'
import { isTernary, parametersOf } from './parameters.ts'
import { typesOfMix } from './types-of-mix.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-convert-'))
after(() => rmSync(folder, { recursive: true }))
const executor = referenceExecutor()
const file = (name: string): string => join(folder, `${name}.gguf`)
const shape = { kind: 'bitnet', layers: 1, hidden: 256, heads: 4, kvHeads: 2, ffn: 256, context: 16, vocab: 300 }
const configs: ModelConfig[] = [
  parseModelConfig(shape),
  parseModelConfig({ ...shape, activation: 'silu' }),
  parseModelConfig({ ...shape, activation: 'silu', subNorms: false, tied: false }),
  parseModelConfig({ kind: 'gpt', layers: 1, hidden: 256, heads: 2, context: 16, vocab: 300, bias: true })
]
for (const config of configs) {
  const weights = initialWeights(config, 9)
  await exportGguf(file(architectureOf(config)), executor, config, byteTokenizer(300), p => weights.get(p.name)!, {
    name: 'test',
    entries: [
      ['general.license', gguf.string('mit')],
      ['tokenizer.chat_template', gguf.string('{{ x }}')]
    ]
  })
}

async function convert(from: string, to: string, options: ConvertOptions = {}): Promise<Conversion> {
  using source = openGguf(file(from))
  return await convertModel(ggufSource(source), file(to), { overwrite: true, ...options })
}
/** Every parameter as the model reads it. */
function contents(name: string): Record<string, unknown> {
  using source = openGguf(file(name))
  const model = ggufSource(source)
  return Object.fromEntries(
    parametersOf(model.config).map(p => [p.name, isTernary(p) ? model.ternary(p) : model.floats(p, 0, p.shape[0]!)])
  )
}

test(
  'a model is the same after it was written as I2_S with its tables as they are, in every ' + 'architecture',
  async () => {
    for (const config of configs) {
      const name = architectureOf(config)
      assert.deepEqual((await convert(name, 'a')).losses, [])
      assert.deepEqual(contents('a'), contents(name))
      using copy = openGguf(file('a'))
      assert.deepEqual(
        [
          copy.metadata.string('general.architecture'),
          copy.metadata.string('general.license'),
          copy.metadata.string('tokenizer.chat_template')
        ],
        [name, 'mit', '{{ x }}']
      )
      assert.deepEqual((await loadModel(copy, executor)).config, { ...config, eps: Math.fround(config.eps) })
    }
  }
)

test('TQ1_0 and TQ2_0 keep the weights and round the scale to binary16; the way back is exact', async () => {
  for (const name of ['bitnet-b1.58', 'llama']) {
    for (const ternary of ['TQ1_0', 'TQ2_0'] as const) {
      const { losses } = await convert(name, 'a', { ternary })
      assert.deepEqual(
        losses.map(({ tensors, to }) => [tensors, to]),
        [['scales of the ternary matrices', 'F16']]
      )
      assert.ok(losses[0]!.relative > 0 && losses[0]!.relative < 2 ** -11)
      const [rounded, exact] = [contents('a'), contents(name)] as Record<string, { trits: Int8Array; scale: number }>[]
      assert.deepEqual(rounded!['blocks.0.attn_q.weight'], {
        trits: exact!['blocks.0.attn_q.weight']!.trits,
        scale: f16Value(f16Bits(exact!['blocks.0.attn_q.weight']!.scale))
      })
      assert.deepEqual((await convert('a', 'b')).losses, [])
      assert.deepEqual(contents('b'), rounded)
      assert.deepEqual((await convert('b', 'c', { ternary })).losses, [])
      assert.deepEqual(readFileSync(file('c')), readFileSync(file('a')))
    }
  }
})

test(
  'embedding and head become F16, Q8_0 or Q6_K with the loss that is told, and are copied as they are ' + 'afterwards',
  async () => {
    for (const [head, least, most] of [
      ['F16', 1e-5, 3e-4],
      ['Q8_0', 3e-3, 8e-3],
      ['Q6_K', 0.01, 0.03]
    ] as const) {
      const { losses } = await convert('llama', 'a', { head })
      assert.deepEqual(
        losses.map(l => [l.tensors, l.from, l.to]),
        [
          ['token_embd.weight', 'F32', head],
          ['output.weight', 'F32', head]
        ]
      )
      assert.ok(
        losses.every(l => l.relative > least && l.relative < most),
        JSON.stringify(losses)
      )
      assert.deepEqual((await convert('a', 'b')).losses, [])
      assert.deepEqual(readFileSync(file('b')), readFileSync(file('a')))
      assert.deepEqual((await convert('a', 'c', { head: 'F32' })).losses, []) // numbers of any type are numbers of F32
    }
  }
)

test('progress ends with all weights; a file that is there is replaced only when it is asked for', async () => {
  const told: number[][] = []
  await convert('bitnet', 'a', { head: 'F16', onProgress: (done, of) => void told.push([done, of]) })
  assert.deepEqual(told.at(-1), [told[0]![1], told[0]![1]])
  await assert.rejects(convert('bitnet', 'a', { overwrite: false }), (e: unknown) =>
    VeritError.is(e, 'VERIT_FILE_EXISTS')
  )
})

test('what a type cannot hold is refused by the name of the tensor, and nothing is written', async () => {
  const config = parseModelConfig({ ...shape, hidden: 128, heads: 2, ffn: 100 })
  const weights = initialWeights(config, 1)
  await exportGguf(file('odd'), executor, config, byteTokenizer(300), p => weights.get(p.name)!, { name: 'odd' })
  const refused = async (options: ConvertOptions, words: RegExp): Promise<void> => {
    await assert.rejects(
      convert('odd', 'none', options),
      (e: unknown) => VeritError.is(e, 'VERIT_MODEL_WRITE') && words.test(e.message)
    )
  }
  await refused(
    { ternary: 'TQ2_0' },
    /TQ2_0 packs 256 weights a block, which does not divide the rows of 128 weights of blk\.0\.attn_q\.weight/
  )
  await refused({ head: 'Q6_K' }, /token_embd\.weight/)
  const large = initialWeights(configs[0]!, 1)
  const name = ggufName({ kind: 'bitnet' }, 'blocks.0.mlp_up.weight')
  await exportGguf(
    file('large'),
    executor,
    configs[0]!,
    byteTokenizer(300),
    p => (p.name === 'blocks.0.mlp_up.weight' ? large.get(p.name)!.map(v => v * 1e8) : large.get(p.name)!),
    { name: 'large' }
  )
  await assert.rejects(
    convert('large', 'none', { ternary: 'TQ1_0' }),
    (e: unknown) => VeritError.is(e, 'VERIT_MODEL_WRITE') && e.message.includes(`of ${name} is beyond the range`)
  )
  assert.throws(
    () => openGguf(file('none')),
    (e: unknown) => VeritError.is(e, 'VERIT_FILE_NOT_FOUND')
  )
})

test('a conversion that is interrupted, at any turn, leaves nothing and throws why', async () => {
  const reason = new Error('enough')
  const target = join(folder, 'interrupted')
  mkdirSync(target)
  let turns = 0
  const interrupted = (at: number): Promise<unknown> => {
    const stop = new AbortController()
    turns = 0
    return convert('llama', 'interrupted/a', {
      head: 'F16',
      signal: stop.signal,
      onProgress: () => void (turns++ === at && stop.abort(reason))
    })
  }
  await interrupted(Infinity)
  assert.ok(turns > 5)
  unlinkSync(file('interrupted/a'))
  for (let at = turns - 1; at >= 0; at--) {
    await assert.rejects(interrupted(at), reason)
    assert.deepEqual(readdirSync(target), [])
  }
})

test('a ternary table is copied where its rows are blocks, and written as F32 where they are not', async () => {
  for (const [type, kept] of [
    ['TQ2_0', 'TQ2_0'],
    ['I2_S', 'F32']
  ] as const) {
    using source = openGguf(file('bitnet-b1.58'))
    const trits = Int8Array.from({ length: 300 * 256 }, (_, i) => ((i % 7) % 3) - 1)
    const table = { type, data: encodeTernary(type, trits, Float32Array.of(0.5)) }
    const tensors = source.tensors.map(t => {
      const plain = { name: t.name, shape: t.shape, type: t.type, data: source.readTensor(t.name) }
      return t.name === 'token_embd.weight' ? { ...plain, ...table } : plain
    })
    writeGguf(file('ternary-table'), { metadata: [...source.metadata.entries], tensors })
    assert.deepEqual((await convert('ternary-table', 'kept')).losses, [])
    using copy = openGguf(file('kept'))
    assert.equal(copy.tensor('token_embd.weight').type, kept)
    assert.deepEqual(contents('kept'), contents('ternary-table'))
    assert.deepEqual(
      contents('kept')['token_embedding'],
      Float32Array.from(trits, t => t * 0.5)
    )
  }
})

test('a mix gives every matrix its format, experts included, and the file loads', async () => {
  const shape = {
    kind: 'qwen3moe',
    layers: 2,
    hidden: 256,
    heads: 4,
    kvHeads: 2,
    experts: 4,
    expertsUsed: 2,
    expertFfn: 256,
    context: 16,
    vocab: 300,
    eps: 1e-6,
    tied: false
  }
  const config = parseModelConfig(shape)
  const weights = initialWeights(config, 3)
  await exportGguf(file('moe'), executor, config, byteTokenizer(300), p => weights.get(p.name)!, { name: 'moe' })
  for (const mix of ['Q4_K_M', 'Q2_K', 'Q5_0', 'BF16'] as const) {
    const { reports, losses } = await convert('moe', 'moe-mix', { mix })
    const type = typesOfMix(config, mix)
    using source = openGguf(file('moe-mix'))
    for (const p of parametersOf(config).filter(one => one.shape.length > 1)) {
      const name = ggufName(config, p.name)
      assert.equal(source.tensor(name).type, type(p), `${mix} ${name}`)
      const report = reports.find(r => r.name === name)!
      assert.deepEqual([report.from, report.to], ['F32', type(p)])
      assert.equal(report.relative > 0, type(p) !== 'F32')
    }
    assert.ok(losses.every(({ relative }) => relative < 0.35))
    assert.equal((await loadModel(source, executor)).config.kind, 'qwen3moe')
  }
})

test('an option for the head or the other matrices goes before the mix', async () => {
  await convert('gpt2', 'over', { mix: 'Q8_0', head: 'F16', matrices: 'Q4_K' })
  using source = openGguf(file('over'))
  assert.equal(source.tensor('token_embd.weight').type, 'F16')
  assert.equal(source.tensor('blk.0.ffn_up.weight').type, 'Q4_K')
  assert.equal(source.tensor('position_embd.weight').type, 'F32')
})
