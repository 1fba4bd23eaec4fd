/**
 * Verit and llama.cpp over the same random models, where node-llama-cpp is installed: VERIT_LLAMA_CPP=FOLDER (npm
 * install --prefix FOLDER node-llama-cpp); VERIT_TRANSFORMERS=PYTHON asks transformers as well, through an interpreter
 * that has it with torch, gguf and accelerate.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agreement, agreementShapes } from '../scripts/agreement.ts'
import { forms, sameText } from '../scripts/same-text.ts'

const folder = process.env['VERIT_LLAMA_CPP']

for (const config of agreementShapes) {
  const rows = Math.max(config.hidden, config.ffn)
  test(
    `llama.cpp agrees with rows of ${rows} in ${config.subNorms ? 'bitnet' : 'llama'}`,
    { skip: folder === undefined && 'VERIT_LLAMA_CPP is not set' },
    async () => {
      const result = await agreement(folder!, config)
      // Rows of one block of 256 are rounded alike by both; in longer ones llama.cpp has a scale a block.
      assert.ok(result.sameForced >= (rows === 256 ? 0.95 : 0.85), JSON.stringify(result))
      assert.ok(result.meanAbsLogProbability < (rows === 256 ? 0.04 : 0.15), JSON.stringify(result))
    }
  )
}

for (const form of forms) {
  const name = `${form.vocabulary}, ${form.bias ? 'biases' : 'no biases'}`
  test(
    'llama.cpp continues texts of a gpt as Verit does ' + `(${name})`,
    { skip: folder === undefined && 'VERIT_LLAMA_CPP is not set' },
    async () => {
      const { texts, llamaIds, llamaTokens, transformersTokens } = await sameText(
        folder!,
        form,
        process.env['VERIT_TRANSFORMERS']
      )
      assert.deepEqual([llamaIds, llamaTokens, transformersTokens ?? texts], [texts, texts, texts])
    }
  )
}
