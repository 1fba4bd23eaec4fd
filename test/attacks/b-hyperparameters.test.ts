/**
 * Class B: hyperparameters and rotary frequencies that no model has, for every architecture. test/full takes every
 * value.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { frequencies, LARGEST_ANGLE, rotaryTable } from '../../src/arch/rotary.ts'
import { rotaryOf } from '../../src/arch/decoder-config.ts'
import type { DecoderConfig } from '../../src/arch/decoder-config.ts'
import { parseGguf } from '../../src/formats/gguf-reader.ts'
import { gguf } from '../../src/formats/gguf-value.ts'
import type { GgufValue } from '../../src/formats/gguf-value.ts'
import { VeritError } from '../../src/lib/errors.ts'
import { readModel } from '../../src/model/load-gguf.ts'
import { refuseAll } from '../refuse-all.ts'
import { changedModel, smallModel } from '../small-models.ts'

test('B10 hyperparameters that no model has are refused by their key, and nothing is allocated for them', () => {
  refuseAll(9, 500)
})

const divisorTensors = { llama: ['rope_freqs'], phi3: ['rope_factors_long', 'rope_factors_short'] }
const bytesOf = (values: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer)

test('B11 invalid divisors of rotary frequencies are refused by the name of their tensor', async () => {
  for (const [kind, names] of Object.entries(divisorTensors)) {
    const model = await smallModel(kind)
    for (const name of names.map(n => `${n}.weight`)) {
      const [pairs] = parseGguf(model).tensor(name).shape
      for (const bad of [0, -0, -1, NaN, Infinity, -Infinity, 1e-30, 1e-45, 1e-5]) {
        const file = changedModel(model, p => {
          p.tensors.find(t => t.name === name)!.data = bytesOf(
            Array.from({ length: pairs! }, (_, i) => (i === 0 ? bad : 1))
          )
        })
        assert.throws(
          () => readModel(parseGguf(file, 'x.gguf')),
          (e: unknown) => {
            assert.ok(VeritError.is(e, 'VERIT_TENSOR'), String(e))
            return e.fields.tensor === name
          },
          `${name} ${bad}`
        )
      }
      for (const [type, shape] of [
        ['F16', [pairs!]],
        ['F32', [pairs! + 1]],
        ['F32', [2, pairs!]],
        ['F32', [4096]]
      ] as const) {
        const elements = shape.reduce<number>((a, b) => a * b, 1)
        const file = changedModel(
          model,
          p =>
            void Object.assign(
              p.tensors.find(t => t.name === name)!,
              {
                type,
                shape,
                data: new Uint8Array(elements * (type === 'F16' ? 2 : 4)).fill(1)
              }
            )
        )
        assert.throws(
          () => readModel(parseGguf(file, 'x.gguf')),
          new RegExp(name.replaceAll('.', '\\.')),
          `${type} ${shape.join()}`
        )
      }
    }
  }
})

test('B11 every accepted model keeps its angles in the domain of sine and its tables finite', async () => {
  const model = await smallModel('llama')
  const set = (values: Readonly<Record<string, GgufValue>>, divisors: readonly number[]): Buffer =>
    changedModel(model, p => {
      for (const [key, value] of Object.entries(values)) p.metadata.set(`llama.${key}`, value)
      p.tensors.find(t => t.name === 'rope_freqs.weight')!.data = bytesOf(divisors)
    })
  const ones = [1, 1, 1, 1]
  const read = (file: Buffer): DecoderConfig => readModel(parseGguf(file, 'x.gguf')).config as DecoderConfig
  const accepted = [
    set({}, [1e38, 1e-4, 3e38, 1]),
    set({ 'rope.freq_base': gguf.f32(1) }, ones),
    set({ 'rope.freq_base': gguf.f32(9e11) }, [1, 1, 1, 1e-5]),
    set({ 'rope.scaling.factor': gguf.f32(0.002) }, ones),
    set({ 'rope.scaling.factor': gguf.f32(999_999) }, ones),
    set({ context_length: gguf.u32(1 << 20) }, ones),
    set(
      {
        'rope.scaling.type': gguf.string('yarn'),
        'rope.scaling.factor': gguf.f32(4),
        'rope.scaling.original_context_length': gguf.u32(1)
      },
      ones
    )
  ]
  for (const [i, file] of accepted.entries()) {
    const config = read(file)
    const rotary = rotaryOf(config, config.context)
    assert.ok(
      frequencies(rotary).every(f => f * (config.context - 1) <= LARGEST_ANGLE),
      `model ${i}`
    )
    const { cos, sin } = rotaryTable(rotary, Math.min(config.context, 4096))
    assert.ok([...cos, ...sin].every(Number.isFinite), `model ${i}`)
  }
  const refused = [
    [set({ context_length: gguf.u32(1 << 20) }, [0.5, 1, 1, 1]), /rope_freqs\.weight.*0\.5/],
    [
      set({ context_length: gguf.u32(1 << 20), 'rope.scaling.factor': gguf.f32(0.5) }, ones),
      /rope_freqs\.weight|rope\.scaling\.factor/
    ],
    [
      set(
        { 'rope.scaling.type': gguf.string('yarn'), 'rope.freq_base': gguf.f32(1), 'rope.scaling.factor': gguf.f32(4) },
        ones
      ),
      /llama\.rope\.freq_base/
    ]
  ] as const
  for (const [file, named] of refused) assert.throws(() => read(file), named)
})
