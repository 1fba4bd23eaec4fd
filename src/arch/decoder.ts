/** Makes a row of the registry from the description of a decoder. */
import type { Architecture, LayerCache } from './architecture.ts'
import { rotaryOf, parseDecoder } from './decoder-config.ts'
import type { DecoderConfig } from './decoder-config.ts'
import { decoderForward, decoderLogits } from './decoder-forward.ts'
import { decoderEntries, decoderFixedTensors, readDecoder } from './decoder-gguf.ts'
import { decoderParameters, hasAttention } from './decoder-parameters.ts'
import { decoderHf } from './decoder-hf.ts'
import type { Description } from './description.ts'
import { fail } from './fields.ts'
import { interleavedRows } from './rotary.ts'
import { tensorNames } from './tensor-names.ts'

export function decoder(d: Description): Architecture<DecoderConfig> {
  const parse: Architecture<DecoderConfig>['parse'] = fields => {
    const config = parseDecoder(fields, d)
    return d.defaults === undefined ? config : { ...d.defaults(config), ...config }
  }
  const names = tensorNames()
  const { hf } = d
  return {
    kind: d.kind,
    ggufNames: [d.kind],
    parse,
    readGguf: (file, vocab) => parse(readDecoder(file, vocab, d)),
    ggufName: () => d.kind,
    ggufEntries: config => decoderEntries(config, d),
    tensorName: parameter => d.names?.[parameter] ?? names(parameter),
    fileRows: (config, parameter) => fileRows(config, parameter, d),
    fixedTensors: decoderFixedTensors,
    llamaCppProblem: () => undefined,
    ...(hf === undefined ? {} : { hf: decoderHf(hf, d, parse) }),
    parameters: config => decoderParameters(config, d),
    forward: (g, config, w, at) => decoderForward(g, config, d, w, at),
    logits: decoderLogits,
    caches: config => Array.from({ length: config.layers }, (_, l) => cacheOf(config, l)),
    cacheType: 'f16',
    rotaryPairs: config => rotaryPairs(config, d)
  }
}

function cacheOf(config: DecoderConfig, layer: number): LayerCache {
  if (!hasAttention(config, layer)) return { kind: 'conv', width: config.hidden }
  return { kind: 'attention', kvHeads: config.kvHeads, headDim: config.headDim }
}

function rotaryPairs(config: DecoderConfig, d: Description): number {
  if (d.positions === 'learned') return 0
  return (
    (rotaryOf(config, config.context).dim / 2) *
    (config.ropeThetaLocal === undefined && config.temperatureScale === undefined ? 1 : 2)
  )
}

function fileRows(config: DecoderConfig, parameter: string, d: Description): Int32Array | undefined {
  const [, which] = /\.attn_([qk])\.(?:weight|bias)$/.exec(parameter) ?? []
  if (which === undefined || d.positions !== 'neighbours') return undefined
  if (d.fusedQkv === true) return fail('kind', 'rotates neighbours in a fused projection, which is not supported')
  return interleavedRows(
    which === 'q' ? config.heads : config.kvHeads,
    config.headDim,
    config.ropeDim ?? config.headDim
  )
}
