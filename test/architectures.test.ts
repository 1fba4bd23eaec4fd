/** Each architecture computes what Hugging Face transformers computes from the same weights (test/fixtures/models). */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { CacheType } from '../src/arch/architecture.ts'
import { ServingModel } from '../src/engine/serving-model.ts'
import { openExecutor } from '../src/exec/index.ts'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { writeGguf } from '../src/formats/gguf-writer.ts'
import { openSafetensors } from '../src/formats/safetensors.ts'
import { loadModel } from '../src/model/load-gguf.ts'
import { readFloats } from '../src/model/read-tensor.ts'
import { opTable } from '../src/ops/table.ts'

const fixtures = fileURLToPath(new URL('fixtures/models', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'verit-architectures-'))
after(() => rmSync(folder, { recursive: true }))
const executor = openExecutor({ threads: 1 })
const { tokens } = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8')) as { tokens: number[] }

/** A copy with every weight as F32, which products do not round. */
function asFloats(name: string): string {
  const path = join(folder, `${name}.gguf`)
  using file = openGguf(join(fixtures, `${name}.gguf`))
  const tensors = file.tensors.map(t => ({
    name: t.name,
    shape: t.shape,
    type: 'F32' as const,
    data: new Uint8Array(readFloats(file, t.name).slice().buffer)
  }))
  writeGguf(path, { metadata: [...file.metadata.entries], tensors })
  return path
}

/** Logits of every token: all rows in one run, or in runs of the lengths given. */
async function logitsOf(
  path: string,
  lengths: readonly number[],
  cacheType: CacheType = 'f32'
): Promise<Float32Array[]> {
  using file = openGguf(path)
  const { config, weights } = await loadModel(file, executor)
  using model = new ServingModel(executor, config, weights, {
    context: 48,
    rows: tokens.length,
    outputs: tokens.length,
    cacheType
  })
  const logits: Float32Array[] = []
  for (const length of lengths) {
    const from = logits.length
    const rows = tokens.slice(from, from + length).map((id, i) => ({ id, position: from + i, slot: 0, wanted: true }))
    logits.push(...(await model.run(rows)).map(row => row.slice()))
  }
  return logits
}

const plain = ['llama', 'qwen2', 'smollm3', 'granite', 'olmo2']
const more = ['qwen3', 'gemma2', 'gemma3', 'phi3', 'gpt2', 'starcoder2', 'stablelm', 'lfm2']
const skip = opTable.has('geluTanh') ? false : 'its operations are not there'

for (const name of [...plain, ...more]) {
  test(
    `${name} computes what transformers computes, in one run and token by token`,
    { skip: more.includes(name) && skip },
    async () => {
      const path = asFloats(name)
      using reference = openSafetensors(join(fixtures, 'expected.safetensors'))
      const expected = new Float32Array(reference.read(name).buffer)
      const logits = await logitsOf(path, [tokens.length])
      const vocab = logits[0]!.length
      const differences = logits.map(
        (row, r) => row.reduce((sum, x, i) => sum + Math.abs(x - expected[r * vocab + i]!), 0) / vocab
      )
      const mean = differences.reduce((a, b) => a + b, 0) / differences.length
      assert.ok(mean <= 2e-5, `the logits are ${mean} away on average`)
      assert.deepEqual(
        await logitsOf(
          path,
          tokens.map(() => 1)
        ),
        logits
      )
      assert.deepEqual(await logitsOf(path, [17, 1, 22]), logits)
      const rounded = await logitsOf(path, [tokens.length], 'f16')
      assert.notDeepEqual(rounded, logits)
      assert.deepEqual(await logitsOf(path, [1, 20, 19], 'f16'), rounded)
    }
  )
}
