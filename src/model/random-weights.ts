/**
 * Random weights of a configuration directly in the form that serving reads them in, without a file: speed does not depend on what a model has learned. Ternary codes are
 * uniform over -1, 0, 1; other matrices near normal with deviation 0.02; norms are 1. Five hundred megabytes take about a second.
 */
import type { Executor } from '../exec/plan.ts'
import { Graph } from '../graph/graph.ts'
import { weightLayout } from '../graph/layout.ts'
import { f16Bits } from '../lib/half.ts'
import type { ModelConfig } from './config.ts'
import { screenPlan } from './plans.ts'
import { servingParts, servingWeights } from './weights.ts'
import type { PackedWeights, ServingForm, ServingPart } from './weights.ts'
import { base3CodeBytes, everyByte, fill, fillFloats, fillHalves, ternaryCodeBytes, xorshift } from './random-fill.ts'
import type { Random } from './random-fill.ts'

/** What brings a product of the deviations of a code and of a scale of 6-bit weights to 0.02. */
const BLOCK_FACTOR = 0.02 / 18.5 / 74

/**
 * @param form of the weights: for 'q6' the width has to be a multiple of 256
 * @param onProgress told the bytes that are made, and of how many
 * @throws VeritError VERIT_MEMORY
 */
export async function randomWeights(executor: Executor, config: ModelConfig, form: ServingForm, onProgress: (done: number, of: number) => void = () => {}): Promise<PackedWeights> {
  const g = new Graph(), random = xorshift(1)
  servingWeights(g, config, form)
  const { bytes, entries } = weightLayout(g)
  const arena = executor.allocate(bytes)
  const parts = new Map(servingParts(config, form).map(part => [part.name, part]))
  let done = 0
  for (const entry of entries) {
    put(parts.get(entry.name)!, new Uint8Array(arena, entry.offset, entry.bytes), form, random)
    onProgress(done += entry.bytes, bytes)
  }
  const place = (name: string): Uint8Array => {
    const { offset, bytes } = entries.find(e => e.name === name)!
    return new Uint8Array(arena, offset, bytes)
  }
  for (const { of: { name, shape: [out, inputs] } } of [...parts.values()].filter(p => p.form === 'rows')) {
    const plan = executor.load(screenPlan(out!, inputs!))
    await plan.run({ raw: place(`${name}.rows`), ...Object.fromEntries(['codes', 's', 'd', 'errors'].map(part => [part, place(`${name}.${part}`)])) })
    plan.dispose()
  }
  return { bytes: new Uint8Array(arena), form }
}

function put(part: ServingPart, place: Uint8Array<ArrayBuffer>, form: ServingForm, random: Random): void {
  const floats = (): Float32Array => new Float32Array(place.buffer, place.byteOffset, place.byteLength / 4)
  switch (part.form) {
    case 'values':
      if (part.of.shape.length > 1) fillFloats(floats(), random)
      else floats().fill(part.of.init === 'zero' ? 0 : 1)
      break
    case 'rows':
    case 'panels':
      if (part.dtype === 'f16') fillHalves(new Uint16Array(place.buffer, place.byteOffset, place.byteLength / 2), random)
      else fillFloats(floats(), random)
      break
    case 'codes':
      fill(place, place.length, form.ternary === 'base3' ? base3CodeBytes : ternaryCodeBytes, random)
      break
    case 'screen':
      break // made of the rows
    case 'scale':
      floats().fill(1 / 64)
      break
    default: // codes and scales of several bits, and the factors of their blocks
      if (part.dtype === 'f32') floats().fill(BLOCK_FACTOR)
      else if (part.dtype === 'f16') new Uint16Array(place.buffer, place.byteOffset, place.byteLength / 2).fill(f16Bits(BLOCK_FACTOR))
      else fill(place, place.length, everyByte, random)
  }
}
