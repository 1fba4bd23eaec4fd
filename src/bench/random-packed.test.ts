import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openExecutor } from '../exec/index.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { VeritError } from '../lib/errors.ts'
import { parseModelConfig } from '../model/config.ts'
import type { BitnetConfig } from '../model/config.ts'
import { loadModel } from '../model/load-gguf.ts'
import { readFloats } from '../model/read-tensor.ts'
import { writeRandomPacked } from './random-packed.ts'
import { ServingModel } from '../engine/serving-model.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-packed-'))
after(() => rmSync(dir, { recursive: true }))
const config = parseModelConfig({
  kind: 'bitnet',
  layers: 2,
  hidden: 256,
  heads: 4,
  kvHeads: 2,
  ffn: 384,
  context: 32,
  vocab: 300
}) as BitnetConfig

for (const embedding of ['F16', 'Q6_K'] as const) {
  const path = join(dir, embedding)
  writeRandomPacked(path, config, { embedding })

  test(
    `a model whose embedding is ${embedding} gives one set of logits on every executor, and those of its ` + 'weights',
    async () => {
      using file = openGguf(path)
      const rows = [5, 299, 17, 0].map((id, position) => ({ id, position, slot: 0, wanted: position > 1 }))
      const logits = await Promise.all(
        [
          openExecutor({ threads: 2 }),
          openExecutor({ threads: 1, instructionSet: 'baseline' }),
          referenceExecutor()
        ].map(async executor => {
          using model = new ServingModel(executor, config, (await loadModel(file, executor)).weights, {
            slots: 3,
            rows: 8
          })
          return (await model.run(rows)).map(row => [...row])
        })
      )
      assert.deepEqual(logits[1], logits[0])
      assert.deepEqual(logits[2], logits[0])
      assert.ok(
        logits[0]!.length === 2 && logits[0]!.flat().every(Number.isFinite) && new Set(logits[0]![0]).size > 200
      )
      assert.equal(readFloats(file, 'token_embd.weight').length, 300 * 256)
    }
  )

  test(`an ${embedding} embedding with a value or factor that is no number is refused`, async () => {
    const { readFileSync, writeFileSync } = await import('node:fs')
    using file = openGguf(path)
    const bytes = readFileSync(path)
    const { offset, byteLength } = file.tensor('token_embd.weight')
    bytes[offset + byteLength - 1] = 0x7c
    writeFileSync(`${path}.bad`, bytes)
    using bad = openGguf(`${path}.bad`)
    for (const executor of [openExecutor({ threads: 2 }), referenceExecutor()]) {
      await assert.rejects(
        loadModel(bad, executor),
        (e: unknown) => VeritError.is(e, 'VERIT_TENSOR') && /not a finite number/.test(e.message)
      )
    }
  })
}
