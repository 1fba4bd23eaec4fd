/**
 * Exported models in ONNX Runtime, which is installed apart: its package downloads libraries for other hardware when it
 * is installed, so its scripts are not run. The logits are those of transformers for the same weights.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openGguf } from '../../src/formats/gguf-reader.ts'
import { readSafetensors } from '../../src/formats/safetensors.ts'
import { exportOnnx } from '../../src/model/export-onnx.ts'
import { ggufSource } from '../../src/model/model-source.ts'

const RUNTIME = 'onnxruntime-node@1.30.0'
const fixtures = fileURLToPath(new URL('../fixtures/models', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'verit-onnx-'))
after(() => rmSync(folder, { recursive: true }))

interface OnnxTensor {
  readonly data: Float32Array
  readonly dims: readonly number[]
}

interface OnnxRuntime {
  readonly Tensor: new (type: string, data: BigInt64Array | Float32Array, dims: readonly number[]) => OnnxTensor
  readonly InferenceSession: {
    create(path: string): Promise<{
      readonly inputNames: readonly string[]
      run(feeds: Record<string, OnnxTensor>): Promise<Record<string, OnnxTensor>>
    }>
  }
}

/** The runtime, or undefined where no registry answers. */
function install(): OnnxRuntime | undefined {
  writeFileSync(join(folder, 'package.json'), '{}')
  const { status } = spawnSync('npm', ['install', '--ignore-scripts', '--no-audit', RUNTIME], { cwd: folder })
  if (status !== 0) return undefined
  return createRequire(join(folder, 'package.json'))('onnxruntime-node') as OnnxRuntime
}

const runtime = install()
const { tokens } = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8')) as {
  tokens: number[]
}
const { tensors } = readSafetensors(join(fixtures, 'expected.safetensors'))

/** Sizes of the cache by model: [kvHeads, headDim]. */
const CACHES: Readonly<Record<string, readonly [number, number]>> = {
  gpt2: [4, 16],
  llama: [2, 16],
  gemma2: [2, 16],
  gemma3: [2, 32],
  granite: [2, 16],
  olmo2: [2, 16],
  phi3: [2, 16],
  qwen2: [2, 16],
  qwen3: [2, 32],
  smollm3: [2, 16],
  stablelm: [2, 16],
  starcoder2: [2, 16]
}

for (const [name, [kvHeads, headDim]] of Object.entries(CACHES)) {
  const skip = runtime === undefined ? 'onnxruntime-node cannot be installed here' : false
  test(`${name}: ONNX Runtime has the logits of transformers, for a prompt and step by step`, { skip }, async () => {
    const { Tensor, InferenceSession } = runtime!
    using file = openGguf(join(fixtures, `${name}.gguf`))
    const path = join(folder, name)
    await exportOnnx(ggufSource(file), path)
    const session = await InferenceSession.create(join(path, 'model.onnx'))
    const wanted = new Float32Array(tensors.get(name)!.data.buffer)
    const whole = (values: readonly number[]): OnnxTensor =>
      new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length])
    const empty = (): Record<string, OnnxTensor> =>
      Object.fromEntries(
        session.inputNames
          .filter(input => input.startsWith('past'))
          .map(input => [input, new Tensor('float32', new Float32Array(0), [1, kvHeads, 0, headDim])])
      )
    const near = (logits: Float32Array, from: number): void => {
      let most = 0
      for (const [i, v] of logits.entries()) most = Math.max(most, Math.abs(v - wanted[from + i]!))
      assert.ok(most < 1e-4, `${name}: ${most}`)
    }
    const positions = tokens.map((_, i) => i)
    const prompt = await session.run({
      input_ids: whole(tokens),
      attention_mask: whole(tokens.map(() => 1)),
      position_ids: whole(positions),
      ...empty()
    })
    near(prompt['logits']!.data, 0)
    let past = empty()
    for (const [i, id] of tokens.entries()) {
      const mask = whole(tokens.slice(0, i + 1).map(() => 1))
      const step = await session.run({
        input_ids: whole([id]),
        attention_mask: mask,
        position_ids: whole([i]),
        ...past
      })
      near(step['logits']!.data, i * 512)
      past = Object.fromEntries(
        Object.entries(step)
          .filter(([key]) => key.startsWith('present'))
          .map(([key, value]) => [key.replace('present', 'past_key_values'), value])
      )
    }
  })
}
