/**
 * Random weights of a configuration directly in the packed form of serving, without a file: speed does not depend on
 * the weights. Codes are uniform; other matrices are near normal with deviation 0.02; norms are 1. Five hundred
 * megabytes take about a second.
 */
import type { Executor } from '../exec/plan.ts'
import { Graph } from '../graph/graph.ts'
import { weightLayout } from '../graph/layout.ts'
import { fillFloats, xorshift } from '../weights/random-fill.ts'
import type { Random } from '../weights/random-fill.ts'
import type { ModelConfig } from './config.ts'
import { parametersOf } from './parameters.ts'
import { servingParts, servingWeights, sizeOf } from './weights.ts'
import type { PackedWeights, ServingForm, ServingPart } from './weights.ts'

/**
 * @param onProgress told the bytes that are made, and of how many
 * @throws VeritError VERIT_MEMORY
 */
export async function randomWeights(
  executor: Executor,
  config: ModelConfig,
  form: ServingForm,
  onProgress: (done: number, of: number) => void = () => {}
): Promise<PackedWeights> {
  const g = new Graph()
  servingWeights(g, config, form)
  const { bytes, entries } = weightLayout(g)
  const arena = executor.allocate(bytes)
  const places = new Map(entries.map(e => [e.name, new Uint8Array(arena, e.offset, e.bytes)]))
  const parts = new Map(servingParts(config, form).map(part => [part.name, part]))
  const random = xorshift(1)
  let done = 0
  for (const { name, bytes: size } of entries) {
    put(parts.get(name)!, places.get(name)!, random)
    onProgress((done += size), bytes)
  }
  for (const p of parametersOf(config)) {
    const derived = form.get(p.name)?.derive?.(sizeOf(p))
    if (derived === undefined) continue
    const plan = executor.load(derived.plan)
    await plan.run(
      Object.fromEntries(
        Object.entries(derived.buffers).map(([buffer, part]) => [buffer, places.get(`${p.name}.${part}`)!])
      )
    )
    plan.dispose()
  }
  return { bytes: new Uint8Array(arena), form }
}

function put(part: ServingPart, place: Uint8Array<ArrayBuffer>, random: Random): void {
  if (part.packing !== undefined) return part.packing.random({ ...part, part: part.part! }, place, random)
  const values = new Float32Array(place.buffer, place.byteOffset, place.byteLength / 4)
  if (part.of.shape.length > 1) fillFloats(values, random)
  else values.fill(part.of.init === 'zero' ? 0 : 1)
}
