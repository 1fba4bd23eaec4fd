/**
 * Damaged model files, loaded and asked for two tokens: flips, overwritten bytes and numbers, and cuts. Each ends in
 * one VeritError or in a model that answers; none takes memory out of proportion to the file.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import type { Engine } from '../src/engine/engine.ts'
import { VeritEngine } from '../src/engine/verit-engine.ts'
import { writeRandomModel } from '../src/bench/random-model.ts'
import { openExecutor } from '../src/exec/index.ts'
import type { Executor } from '../src/exec/plan.ts'
import { parseGguf } from '../src/formats/gguf-reader.ts'
import { gguf } from '../src/formats/gguf-value.ts'
import { VeritError } from '../src/lib/errors.ts'
import { parseModelConfig } from '../src/model/config.ts'
import { loadModel as loadGguf } from '../src/model/load-gguf.ts'
import { numbers } from './numbers.ts'

/**
 * No buffer may be larger, for files of some 40 kB: a flip of one bit may ask for 2^20 positions, of which the default
 * takes fewer.
 */
const LARGEST = 2 ** 31
export const folder = mkdtempSync(join(tmpdir(), 'verit-model-damage-'))
after(() => rmSync(folder, { recursive: true }))

export const native = openExecutor({ threads: 1 })
const small = (bytes: number): void => assert.ok(bytes <= LARGEST, `a buffer of ${bytes} bytes`)
const executor: Executor = {
  ...native,
  allocate(bytes, sparse) {
    small(bytes)
    return native.allocate(bytes, sparse)
  },
  load(plan, sparse) {
    small(plan.bufferBytes[0]!)
    return native.load(plan, sparse)
  }
}

const configs = {
  gpt: parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, ffn: 32, context: 32, vocab: 260, bias: true }),
  bitnet: parseModelConfig({
    kind: 'bitnet',
    layers: 1,
    hidden: 32,
    heads: 4,
    kvHeads: 2,
    ffn: 64,
    context: 32,
    vocab: 260
  })
}

export async function modelFile(kind: Kind): Promise<Buffer> {
  const path = join(folder, `${kind}.gguf`)
  await writeRandomModel(path, native, configs[kind], {
    entries: [
      ['tokenizer.chat_template', gguf.string('{% for m in messages %}{{ m.content }}{% endfor %}')],
      ['tokenizer.ggml.eot_token_id', gguf.u32(0)]
    ]
  })
  return readFileSync(path)
}

/** True for a model that answers, false for a VeritError; anything else is thrown. */
export async function survives(load: () => Promise<Engine>): Promise<boolean> {
  try {
    const engine = await load()
    try {
      await Array.fromAsync(engine.generate({ prompt: 'ab', maxTokens: 2, temperature: 0.5, seed: 1 }))
      engine.chatPrompt([{ role: 'user', content: 'x' }])
    } finally {
      await engine.close()
    }
    return true
  } catch (e) {
    if (VeritError.is(e) && e.code !== 'VERIT_INTERNAL') return false
    throw e
  }
}

async function open(bytes: Buffer): Promise<Engine> {
  const model = await loadGguf(parseGguf(bytes, 'damaged.gguf'), executor)
  return new VeritEngine(executor, { ...model, name: 'damaged', digest: `sha256:${'0'.repeat(64)}` })
}

export type Kind = keyof typeof configs

/** Damages a model of this kind `count` times, in places drawn from one seed. */
export async function damage(kind: Kind, count: number): Promise<void> {
  const bytes = await modelFile(kind)
  const next = numbers(20260102)
  const { dataOffset } = parseGguf(bytes)
  const tokens = bytes.indexOf('tokenizer.ggml.tokens')
  const merges = bytes.indexOf('tokenizer.ggml.merges')
  const extremes = [
    0,
    1,
    2,
    3,
    0x7fffffff,
    0xffffffff,
    1 << 20,
    0x7fc00000,
    0x7f800000,
    0x00800000,
    0x80000000,
    bytes.length
  ]
  // half of them in the configuration, an eighth behind the tokens, a quarter anywhere in the header
  const place = (): number => {
    const inHeader = [next(dataOffset), next(dataOffset)]
    const inConfiguration = [next(tokens), next(tokens), next(tokens), next(tokens)]
    return [...inConfiguration, merges + next(dataOffset - merges), ...inHeader, next(bytes.length)][next(8)]!
  }
  assert.ok(await survives(() => open(bytes)))
  let refused = 0
  for (let i = 0; i < count; i++) {
    const at = place()
    let damaged = Buffer.from(bytes)
    if (i % 5 === 0) damaged[at]! ^= 1 << next(8)
    else if (i % 5 === 1) damaged[at] = next(256)
    else if (i % 5 === 2) damaged.writeUInt32LE(extremes[next(extremes.length)]!, Math.min(at, bytes.length - 4))
    else if (i % 5 === 3) damaged = damaged.subarray(0, at)
    else for (const where of [at, place()]) damaged[where]! ^= 1 << next(8)
    if (!(await survives(() => open(damaged)))) refused++
  }
  assert.ok(refused > count / 2 && refused < count, `${refused} of ${count} refused`)
}
