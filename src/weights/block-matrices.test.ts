import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openExecutor } from '../exec/index.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { VeritError } from '../lib/errors.ts'
import { blockFormats, packedBytes } from '../ops/block-formats.ts'
import { xorshift } from './random-fill.ts'
import { isWeightType, weightType } from './registry.ts'
import { singleOp } from './single-op.ts'

const ROWS = 3
const random = xorshift(9)

test(
  'loading refuses exactly the blocks whose scales the registry finds wrong, in every format and on every ' +
    'executor',
  async () => {
    const executors = [referenceExecutor(), openExecutor({ threads: 1 })]
    for (const f of blockFormats) {
      const bytes = (ROWS * 256 * f.bytes) / f.block
      const plan = singleOp(`repack${f.name}`, {
        inputs: [{ name: 'raw', dtype: 'u8', bytes }],
        outputs: [{ name: 'w', dtype: 'u8', bytes: packedBytes(f, ROWS, 256) }],
        attributes: { O: ROWS, K: 256 }
      })
      assert.ok(isWeightType(f.name))
      const { scaleFault } = weightType(f.name)
      const found = { good: 0, bad: 0 }
      for (let round = 0; round < 300; round++) {
        const raw = Uint8Array.from({ length: bytes }, () => random() >>> 24)
        // random scales are mostly finite in one block, and seldom in all
        if (round % 2 === 0) raw.forEach((byte, i) => void (raw[i] = byte & 0x3b))
        if (round % 10 === 0) raw[Math.floor(random() % (bytes / f.bytes)) * f.bytes] = 246 + ((round / 10) % 10)
        const fault = scaleFault(raw)
        found[fault === undefined ? 'good' : 'bad']++
        for (const executor of executors) {
          const loaded = executor.load(plan)
          const run = loaded.run({ raw, w: new Uint8Array(executor.allocate(packedBytes(f, ROWS, 256))) })
          if (fault === undefined) await run
          else await assert.rejects(run, (e: unknown) => VeritError.is(e, 'VERIT_PLAN'), `${f.name}: ${fault}`)
          loaded.dispose()
        }
      }
      assert.ok(found.good > 20 && found.bad > 3, `${f.name}: ${JSON.stringify(found)}`)
    }
  }
)
