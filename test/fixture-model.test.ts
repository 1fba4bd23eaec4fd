/**
 * A BitNet checkpoint of Hugging Face's transformers, with the logits and greedy tokens that PyTorch computed
 * (test/fixtures/hf-bitnet), through Verit. Activations are rounded to whole steps, so a difference in the last bit
 * that falls on a tie moves a step, and everything after it by some per cent: such a sequence is compared loosely, and
 * its tokens exactly.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { compareModel } from '../scripts/fixture-model.ts'
import { byteTokenizer } from '../src/bench/random-model.ts'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { openSafetensors, writeSafetensors } from '../src/formats/safetensors.ts'
import { f16ToF32, f32ToF16 } from '../src/lib/half.ts'
import { convertModel } from '../src/model/convert.ts'
import type { ConvertOptions } from '../src/model/convert.ts'
import { tokenizerEntries } from '../src/model/gguf-tokenizer.ts'
import { noClaims } from '../src/model/conversation.ts'
import { HfSource } from '../src/model/hf-source.ts'
import type { BitnetConfig } from '../src/model/config.ts'
import { isTernary, parametersOf } from '../src/model/parameters.ts'
import { BitnetDefinition } from './bitnet-definition.ts'
import { tensorDigest } from './tensor-digest.ts'

const fixture = fileURLToPath(new URL('fixtures/hf-bitnet', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'verit-fixture-model-'))
after(() => rmSync(folder, { recursive: true }))
const open = (): HfSource =>
  new HfSource(fixture, {
    entries: tokenizerEntries(byteTokenizer(512)),
    tokenizer: byteTokenizer(512),
    claims: noClaims
  })
const path = join(folder, 'm.gguf')
const convert = async (options: ConvertOptions): Promise<void> => {
  using source = open()
  await convertModel(source, path, { ...options, overwrite: true })
}
const { tokens, greedy } = JSON.parse(readFileSync(join(fixture, 'expected.json'), 'utf8')) as {
  tokens: number[][]
  greedy: number[]
}

/** The definition in float64 over the fixture's weights. */
function definition(embedding: (values: Float32Array) => Float32Array): BitnetDefinition {
  using source = open()
  const parameters = new Map(parametersOf(source.config).map(p => [p.name, p]))
  const ternary = new Map([...parameters.values()].filter(p => isTernary(p)).map(p => [p.name, source.ternary(p)]))
  const floats = new Map(
    [...parameters.values()].filter(p => !isTernary(p)).map(p => [p.name, source.floats(p, 0, p.shape[0]!)])
  )
  floats.set('token_embedding', embedding(floats.get('token_embedding')!))
  return new BitnetDefinition(source.config as BitnetConfig, {
    ternary: name => ternary.get(name)!,
    floats: name => floats.get(name)!
  })
}
const inHalves = (values: Float32Array): Float32Array => f16ToF32(f32ToF16(values))

/** Logits of both sequences [80, 512], and the greedy tokens that follow the first. */
function run(make: () => BitnetDefinition): { logits: Float64Array; follows: number[] } {
  const follows: number[] = []
  const rows = tokens.flatMap((ids, s) => {
    const model = make()
    const rows = ids.map(id => model.next(id))
    for (let last = rows.at(-1)!; s === 0 && follows.length < 40; last = model.next(follows.at(-1)!))
      follows.push(last.indexOf(Math.max(...last)))
    return rows
  })
  return { logits: Float64Array.from(rows.flatMap(row => [...row])), follows }
}
const exact = run(() => definition(values => values))
const halves = run(() => definition(inHalves))

test(
  'the definition in float64 gives the logits and greedy tokens that PyTorch computed; with the embedding in ' +
    'binary16 it is another model',
  () => {
    using file = openSafetensors(join(fixture, 'expected.safetensors'))
    const expected = new Float32Array(file.read('logits').buffer)
    const distance = ({ logits }: typeof exact): number =>
      logits.reduce((sum, x, i) => sum + Math.abs(x - expected[i]!), 0) / logits.length
    assert.ok(distance(exact) < 1e-6, String(distance(exact)))
    assert.deepEqual(exact.follows, greedy.slice(40))
    assert.ok(distance(halves) > 0.02 && distance(halves) < 0.03, String(distance(halves)))
    assert.equal(
      halves.follows.findIndex((id, i) => id !== greedy[40 + i]),
      8
    )
  }
)

test(
  'with the weights as they are, Verit gives the logits and all 40 greedy tokens that PyTorch ' + 'computed',
  async () => {
    await convert({ head: 'F32' })
    const {
      sameGreedy,
      sequences: [first, second]
    } = await compareModel(path, fixture)
    assert.equal(sameGreedy, true)
    assert.ok(first!.meanAbsLogits < 1e-6 && first!.maxAbsLogits < 1e-5, String(first!.meanAbsLogits))
    assert.ok(second!.meanAbsLogits < 0.015, String(second!.meanAbsLogits)) // one tie that falls the other way in f32
  }
)

test('with the embedding in binary16, Verit gives the logits and 40 greedy tokens of the definition', async () => {
  await convert({ head: 'F16' })
  writeFileSync(join(folder, 'expected.json'), JSON.stringify({ tokens, greedy: [...tokens[0]!, ...halves.follows] }))
  writeSafetensors(
    join(folder, 'expected.safetensors'),
    new Map([['logits', { dtype: 'F32', shape: [2, 40, 512], data: Float32Array.from(halves.logits) }]])
  )
  const {
    sameGreedy,
    sequences: [first, second]
  } = await compareModel(path, folder)
  assert.equal(sameGreedy, true)
  assert.ok(first!.meanAbsLogits < 5e-3, String(first!.meanAbsLogits))
  assert.ok(second!.meanAbsLogits < 0.03, String(second!.meanAbsLogits))
})

test('the checkpoint is written with the very tensors that ik_llama.cpp accepted', async () => {
  // tensorDigest of three GGUF files that were made from the checkpoint by another program
  const expected = {
    I2_S: '4d63d8b5e0701a468c2290a9a7cf03a001f3d8360bc77f126fc8bee79acf6ee7',
    TQ1_0: '0830fa4ba3459a49ec3d04092c2c77ee3f4fa32edc532bdd012fc80ac1c30abe',
    TQ2_0: '5cca871b448a84030afd9a23c08262cb0ae1cd874e5035994bcf8f2fb3257fdf'
  } as const
  for (const [ternary, digest] of Object.entries(expected)) {
    await convert({ ternary: ternary as keyof typeof expected, head: 'F16' })
    using file = openGguf(path)
    assert.equal(tensorDigest(file), digest, ternary)
  }
})

test('npm run fixture prints the comparison as one line, and says what does not fit', async () => {
  await convert({ head: 'F32' })
  const script = fileURLToPath(new URL('../scripts/fixture.ts', import.meta.url))
  const { stdout, status } = spawnSync(process.execPath, [script, path, fixture], { encoding: 'utf8', timeout: 60_000 })
  assert.equal(status, 0)
  const result = JSON.parse(stdout) as { meanAbsLogits: number; sameGreedy: boolean; sequences: unknown[] }
  assert.deepEqual([result.sameGreedy, result.sequences.length], [true, 2])
  const wrong = spawnSync(process.execPath, [script, path, fileURLToPath(new URL('fixtures/gpt', import.meta.url))], {
    encoding: 'utf8',
    timeout: 60_000
  })
  assert.equal(wrong.status, 2)
  assert.match(wrong.stderr, /expected\.json/)
})
