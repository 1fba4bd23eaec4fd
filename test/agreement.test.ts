/** Verit and llama.cpp over the same random TQ2_0 models, where node-llama-cpp is installed: VERIT_LLAMA_CPP=FOLDER (npm install --prefix FOLDER node-llama-cpp). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agreement, agreementShapes } from '../scripts/agreement.ts'

const folder = process.env['VERIT_LLAMA_CPP']

for (const config of agreementShapes) {
  const rows = Math.max(config.hidden, config.ffn)
  test(`llama.cpp agrees with rows of ${rows} in ${config.subNorms ? 'bitnet' : 'llama'}`, { skip: folder === undefined && 'VERIT_LLAMA_CPP is not set' }, async () => {
    const result = await agreement(folder!, config)
    // Rows of one block of 256 are rounded alike by both; in longer ones llama.cpp has a scale a block.
    assert.ok(result.sameForced >= (rows === 256 ? 0.95 : 0.85), JSON.stringify(result))
    assert.ok(result.meanAbsLogProbability < (rows === 256 ? 0.04 : 0.15), JSON.stringify(result))
  })
}
