/** Class B: tensors of every weight format whose scales, types and sizes are wrong, and the tensors of experts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openExecutor } from '../../src/exec/index.ts'
import { ggufTypes } from '../../src/formats/gguf-types.ts'
import type { GgufTypeName } from '../../src/formats/gguf-types.ts'
import { parseGguf } from '../../src/formats/gguf-reader.ts'
import { VeritError } from '../../src/lib/errors.ts'
import { loadModel } from '../../src/model/load-gguf.ts'
import { VeritEngine } from '../../src/engine/verit-engine.ts'
import { encodeTernary } from '../../src/weights/ternary-tensor.ts'
import { isTernaryType, weightType, weightTypes } from '../../src/weights/registry.ts'
import type { WeightTypeName } from '../../src/weights/registry.ts'
import { numbers } from '../numbers.ts'
import { changedModel, smallModel } from '../small-models.ts'
import type { ModelParts, ModelTensor } from '../small-models.ts'

const executor = openExecutor({ threads: 1 })
const NAME = 'blk.0.ffn_up.weight'
const [OUTPUTS, INPUTS] = [32, 256]
const wide = { layers: 1, hidden: INPUTS, ffn: OUTPUTS, kvHeads: 1 }
const models = {
  block: await smallModel('llama', { ...wide, headDim: 8, tied: true, biases: [] }),
  ternary: await smallModel('bitnet', wide)
}
const modelOf = (type: WeightTypeName): Buffer => (isTernaryType(type) ? models.ternary : models.block)

/** Weights of a format, every one finite. */
function weights(type: WeightTypeName, count: number): Uint8Array {
  if (isTernaryType(type))
    return encodeTernary(
      type,
      Int8Array.from({ length: count }, (_, i) => (i % 3) - 1),
      Float32Array.of(0.5)
    )
  const next = numbers(count + 7)
  const { block, bytes } = ggufTypes[type]
  // no exponent of 16 or 32 bits is at its largest with these bytes
  return Uint8Array.from({ length: (count / block) * bytes }, () => next(64))
}
const put =
  (type: WeightTypeName, data: Uint8Array) =>
  (p: ModelParts): void => {
    Object.assign(
      p.tensors.find(t => t.name === NAME)!,
      { type, data }
    )
  }

/** Loads a file, and takes a token of it. @returns the error that Verit gives; undefined for a model that answers */
async function outcome(bytes: Buffer, answers = true): Promise<VeritError | undefined> {
  try {
    const model = await loadModel(parseGguf(bytes, 'x.gguf'), executor)
    if (!answers) return undefined
    const engine = new VeritEngine(executor, { ...model, name: 'x', digest: `sha256:${'0'.repeat(64)}` })
    await Array.fromAsync(engine.generate({ prompt: 'ab', maxTokens: 1, temperature: 0 })).finally(() => engine.close())
    return undefined
  } catch (e) {
    if (VeritError.is(e) && e.code !== 'VERIT_INTERNAL') return e
    throw e
  }
}
const types = [...weightTypes.keys()] as WeightTypeName[]

test(
  'B12 scales of every weight format that are NaN or infinite are refused by the tensor, subnormal ones are ' +
    'numbers',
  async () => {
    for (const type of types) {
      const whole = weights(type, OUTPUTS * INPUTS)
      const { bytes, block } = weightType(type)
      assert.equal(weightType(type).scaleFault(whole), undefined, type)
      assert.equal(await outcome(changedModel(modelOf(type), put(type, whole))), undefined, type)
      // the places of a block where 16 bits that are no number matter
      const at = type === 'I2_S' ? whole.length - 32 : Math.floor(whole.length / bytes - 1) * bytes
      const withHalf = (place: number, half: number): Uint8Array => {
        const data = whole.slice()
        new DataView(data.buffer).setUint16(at + place, half, true)
        return data
      }
      const places = Array.from({ length: Math.max(1, bytes - 1) }, (_, i) => i).filter(i => at + i + 2 <= whole.length)
      const scales = places.filter(i => weightType(type).scaleFault(withHalf(i, 0x7fff)) !== undefined)
      assert.ok(scales.length > 0 || block === 1 || bytes === 17, `${type} has scales`)
      for (const place of scales) {
        for (const half of [0x7c00, 0xfc00, 0x7e01, 0xffff, 0x7f80, 0xff80]) {
          const data = withHalf(place, half)
          const fault = weightType(type).scaleFault(data) !== undefined
          const e = await outcome(changedModel(modelOf(type), put(type, data)), false)
          // a scale of a ternary matrix may be wrong for other reasons: it is negative, or not that of the other blocks
          assert.ok(e === undefined ? !fault : fault || isTernaryType(type), `${type} ${place} ${half}: ${e?.message}`)
          if (e !== undefined) assert.match(e.message, /blk\.0\.ffn_up\.weight/, type)
        }
        if (isTernaryType(type)) continue // one scale for a matrix, above 0
        for (const half of [0x0001, 0x8001, 0x03ff, 0x0000, 0x8000]) {
          const data = withHalf(place, half)
          if (weightType(type).scaleFault(data) === undefined) {
            const answers = half === 0x0001
            assert.equal(
              await outcome(changedModel(modelOf(type), put(type, data)), answers),
              undefined,
              `${type} ${place} ${half}`
            )
          }
        }
      }
    }
  }
)

/** The file with other bytes in the entry of the tensor NAME: dimensions, type or offset. */
function patched(bytes: Buffer, change: (entry: DataView) => void): Buffer {
  const copy = Buffer.from(bytes)
  const name = copy.indexOf(NAME) + NAME.length
  change(new DataView(copy.buffer, copy.byteOffset + name))
  return copy
}

test('B12 a format whose bytes do not match the shape, the type or the file is refused', async () => {
  for (const type of types) {
    const sound = changedModel(modelOf(type), put(type, weights(type, OUTPUTS * INPUTS)))
    const { bytes, block } = ggufTypes[type]
    const refused = async (what: string, file: Buffer): Promise<void> => {
      const e = await outcome(file)
      assert.ok(e !== undefined, `${type}: ${what}`)
      assert.match(e.message, /tensor|cut|end of the file/, `${type}: ${what}: ${e.message}`)
    }
    for (const other of Object.keys(ggufTypes) as GgufTypeName[]) {
      if (
        ggufTypes[other].bytes * block === bytes * ggufTypes[other].block &&
        (ggufTypes[other].tail ?? 0) === (ggufTypes[type].tail ?? 0)
      )
        continue
      await refused(
        `taken for ${other}`,
        patched(sound, v => v.setUint32(20, ggufTypes[other].id, true))
      )
    }
    for (const inputs of [255n, 257n, 128n, 512n, 2n ** 32n + 256n, 0n]) {
      await refused(
        `${inputs} inputs`,
        patched(sound, v => v.setBigUint64(4, inputs, true))
      )
    }
    for (const outputs of [31n, 33n, 0n, 2n ** 62n]) {
      await refused(
        `${outputs} outputs`,
        patched(sound, v => v.setBigUint64(12, outputs, true))
      )
    }
    for (const offset of [0n, 32n, 2n ** 63n])
      await refused(
        `offset ${offset}`,
        patched(sound, v => v.setBigUint64(24, offset, true))
      )
    // after the last tensor there may be 31 bytes of padding
    for (const cut of [32, 32 + bytes, 4096]) await refused(`${cut} bytes less`, sound.subarray(0, sound.length - cut))
  }
})

test('B13 tensors of experts of other ranks, counts and sizes are refused by their name', async () => {
  const model = await smallModel('qwen3moe')
  const change =
    (name: string, other: (t: ModelTensor) => Partial<ModelTensor>) =>
    (p: ModelParts): void => {
      const t = p.tensors.find(tensor => tensor.name === name)!
      Object.assign(t, other(t))
    }
  const shaped =
    (...shape: number[]) =>
    (): Partial<ModelTensor> => ({ type: 'F32', shape, data: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)) })
  for (const part of ['ffn_gate_exps', 'ffn_up_exps', 'ffn_down_exps']) {
    const name = `blk.1.${part}.weight`
    const named = new RegExp(name.replaceAll('.', '\\.'))
    for (const shape of [
      [128, 32],
      [32, 32],
      [3, 32, 32],
      [5, 32, 32],
      [1, 32, 32],
      [32, 4, 32],
      [4, 16, 32],
      [4, 32, 64],
      [4, 1024],
      [2, 2, 32, 32],
      [4096]
    ]) {
      const e = await outcome(changedModel(model, change(name, shaped(...shape))))
      assert.match(e?.message ?? 'accepted', named, shape.join(' x '))
    }
    const missing = await outcome(changedModel(model, p => void (p.tensors = p.tensors.filter(t => t.name !== name))))
    assert.match(missing?.message ?? 'accepted', named)
    for (const type of ['Q4_0', 'Q8_0', 'MXFP4'] as const) {
      const data = weights(type, 4 * 32 * 32)
      const { bytes } = ggufTypes[type]
      assert.equal(
        await outcome(
          changedModel(
            model,
            change(name, () => ({ type, data }))
          )
        ),
        undefined
      )
      // the last block of the last expert
      const bad = data.slice()
      bad.fill(0xff, bad.length - bytes, bad.length - bytes + 2)
      const e = await outcome(
        changedModel(
          model,
          change(name, () => ({ type, data: bad }))
        )
      )
      assert.match(e?.message ?? 'accepted', named, type)
    }
  }
  const router = 'blk.0.ffn_gate_inp.weight'
  for (const shape of [[3, 32], [5, 32], [4, 16], [128], [4, 32, 1], [32, 4]]) {
    const e = await outcome(changedModel(model, change(router, shaped(...shape))))
    assert.match(e?.message ?? 'accepted', /blk\.0\.ffn_gate_inp\.weight/, shape.join(' x '))
  }
})
