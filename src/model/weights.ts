/**
 * How a model's operations reach its parameters. The same sequence of operations runs over the latent f32 weights of training and over the
 * prepared ones of serving (ternary codes with their scale, matrices in panels): both give the same bits.
 */
import type { Executor } from '../exec/plan.ts'
import { VeritError, invariant } from '../lib/errors.ts'
import type { Graph, Tensor } from '../graph/graph.ts'
import type { Weights } from '../arch/weights.ts'
import type { ModelConfig } from './config.ts'
import { parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'

export type { Weights } from '../arch/weights.ts'

/** Declares the trainable f32 parameters, in their order. */
export function latentWeights(g: Graph, config: ModelConfig): Weights {
  const tensors = new Map(parametersOf(config).map(p => [p.name, g.parameter(p.name, p.shape)]))
  return {
    embed: ids => g.embedding(known(tensors, 'token_embedding'), ids),
    head: x => g.linear(x, known(tensors, headOf(config))),
    tensor: name => known(tensors, name),
    bias: name => tensors.get(`${name}.bias`),
    linear: (x, name) => g.linear(x, known(tensors, `${name}.weight`), tensors.get(`${name}.bias`)),
    bitLinear: (x, name) => g.bitLinear(x, known(tensors, `${name}.weight`)),
    expertLinear: noExperts,
  }
}

/** The parameter that is the head. */
export const headOf = (config: ModelConfig): string => (config.tied === false ? 'head.weight' : 'token_embedding')

/** How a table of rows over the vocabulary is kept: as f16, in 8 or in 6 bits where the file has it so; 'screened': as f16 with a copy in 6 bits beside it that says which rows matter. */
export type TableForm = 'f32' | 'f16' | 'q8' | 'q6' | 'screened'

/** Whether an f16 head is screened (docs/screened-head.md); 'auto': where it is too large for a processor's caches, since one that is not gains nothing by it. */
export type Screening = boolean | 'auto'

export const isScreened = ({ vocab, hidden, finalSoftcap }: ModelConfig, screen: Screening): boolean =>
  screen !== false && finalSoftcap === undefined && hidden % 256 === 0 && hidden <= 1 << 20 && (screen === true || 2 * vocab * hidden >= SCREENED_BYTES)
const SCREENED_BYTES = 2 ** 26

/** Which table is the head's. */
export const headForm = (config: ModelConfig, { embedding, head = 'f32' }: Pick<ServingForm, 'embedding' | 'head'>): TableForm => (headOf(config) === 'token_embedding' ? embedding : head)

/** What a model's file leaves open of how its parameters are kept in memory. */
export interface ServingForm {
  /** The token embedding. */
  readonly embedding: TableForm
  /** A head of its own, where the model has one. Default f32. */
  readonly head?: TableForm
  /** What the executor reads ternary codes fastest in. */
  readonly ternary: Executor['ternary']
}

/** The prepared parameters of a model: the buffer 'weights' of a serving graph, and their form. */
export interface PackedWeights {
  readonly bytes: Uint8Array
  readonly form: ServingForm
}

/** What one parameter becomes in a serving graph: its f32 values, panels of 32 columns, ternary codes and their scale, or one of the forms of a table. */
export interface ServingPart {
  readonly name: string
  readonly of: Parameter
  readonly form: 'values' | 'panels' | 'rows' | 'codes' | 'scale' | 'sixBits' | 'eightBits' | 'screen'
  readonly dtype: 'f32' | 'f16' | 'u8' | 'i8'
  readonly shape: readonly number[]
}

const up = (n: number, step: number): number => Math.ceil(n / step)

/** The parameters of a serving graph, in order. Rows of the token embedding are read out of the panels of the head. */
export function servingParts(config: ModelConfig, { embedding, head = 'f32', ternary }: ServingForm): ServingPart[] {
  return parametersOf(config).flatMap((of): ServingPart[] => {
    const { name, shape } = of
    const values: ServingPart = { name, of, form: 'values', dtype: 'f32', shape }
    if (shape.length === 1 || of.whole === true) return [values]
    const [out, inputs] = shape as [number, number]
    if (of.ternary) {
      return [
        { name: `${name}.t`, of, form: 'codes', dtype: 'u8', shape: [up(out, 16), up(inputs, ternary === 'base3' ? 20 : 16), 16, 4] },
        { name: `${name}.m`, of, form: 'scale', dtype: 'f32', shape: [1] },
      ]
    }
    const table = name === 'token_embedding' ? embedding : name === 'head.weight' ? head : 'f32'
    if (table === 'q8') {
      const eight = (part: string, dtype: 'f16' | 'u8', ...rest: number[]): ServingPart => ({ name: `${name}.${part}`, of, form: 'eightBits', dtype, shape: [up(out, 16), ...rest] })
      return [eight('codes', 'u8', inputs / 16, 256), eight('d', 'f16', inputs / 32, 16)]
    }
    if (table === 'q6') {
      const six = (part: string, dtype: 'f32' | 'u8' | 'i8', ...rest: number[]): ServingPart => ({ name: `${name}.${part}`, of, form: 'sixBits', dtype, shape: [up(out, 16), ...rest] })
      return [six('codes', 'u8', inputs / 16, 192), six('s', 'i8', inputs / 16, 16), six('d', 'f32', inputs / 256, 16)]
    }
    if (table === 'screened') {
      const screen = (part: string, dtype: 'f32' | 'u8' | 'i8', ...rest: number[]): ServingPart => ({ name: `${name}.${part}`, of, form: 'screen', dtype, shape: [up(out, 16), ...rest] })
      return [
        { name: `${name}.rows`, of, form: 'rows', dtype: 'f16', shape },
        screen('codes', 'u8', inputs / 16, 192), screen('s', 'i8', inputs / 16, 16), screen('d', 'f32', inputs / 256, 16), screen('errors', 'f32', 2, 16),
      ]
    }
    return [{ name: `${name}.panels`, of, form: 'panels', dtype: table === 'f16' ? 'f16' : 'f32', shape: [up(out, 32), inputs, 32] }]
  })
}

/** Declares the prepared parameters of serving. */
export function servingWeights(g: Graph, config: ModelConfig, form: ServingForm): Weights {
  const parts = servingParts(config, form)
  const tensors = new Map(parts.map(p => [p.name, g.parameter(p.name, p.shape, p.dtype)]))
  const outputs = new Map(parts.map(p => [p.of.name, p.of.shape[0]!]))
  const embedding = table(g, config, form.embedding, part => known(tensors, `token_embedding.${part}`)), name = headOf(config)
  const head = name === 'token_embedding' ? embedding : table(g, config, form.head ?? 'f32', part => known(tensors, `${name}.${part}`))
  return {
    embed: embedding.rows,
    head: head.product,
    tensor: name => known(tensors, name),
    bias: name => tensors.get(`${name}.bias`),
    linear: (x, name) => g.packedLinear(x, known(tensors, `${name}.weight.panels`), outputs.get(`${name}.weight`)!, tensors.get(`${name}.bias`)),
    bitLinear: (x, name) => {
      const weight = `${name}.weight`
      return g.bitLinear(x, { t: known(tensors, `${weight}.t`), m: known(tensors, `${weight}.m`), out: outputs.get(weight)!, base3: form.ternary === 'base3' })
    },
    expertLinear: noExperts,
  }
}

/** What can be done with a table [vocab, hidden] in its form. */
interface Table {
  rows(ids: Tensor): Tensor
  product(x: Tensor, top?: Tensor): Tensor
}

function table(g: Graph, { vocab: out, hidden }: ModelConfig, form: TableForm, part: (name: string) => Tensor): Table {
  if (form === 'q8') {
    const eight = { codes: part('codes'), d: part('d'), out }
    return { rows: ids => g.eightBitEmbedding(eight, ids, hidden), product: x => g.eightBitLinear(x, eight) }
  }
  if (form === 'q6') {
    const six = { codes: part('codes'), s: part('s'), d: part('d'), out }
    return { rows: ids => g.sixBitEmbedding(six, ids, hidden), product: x => g.sixBitLinear(x, six) }
  }
  if (form === 'screened') {
    const screened = { rows: part('rows'), codes: part('codes'), s: part('s'), d: part('d'), errors: part('errors') }
    return {
      rows: ids => g.halfEmbedding(screened.rows, ids),
      product: (x, top) => {
        invariant(top !== undefined, 'a screened head is told what is needed of it')
        return g.screenedLinear(x, screened, top)
      },
    }
  }
  const panels = part('panels')
  return { rows: ids => g.packedEmbedding(panels, ids, out), product: x => g.packedLinear(x, panels, out) }
}

/** Products with matrices of experts. */
function noExperts(): never {
  throw new VeritError('VERIT_INTERNAL', { problem: 'products with matrices of experts are not implemented' })
}

function known(tensors: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const tensor = tensors.get(name)
  invariant(tensor !== undefined, `the model has no parameter ${name}`)
  return tensor
}
