/**
 * How a model's operations reach its parameters. The same sequence of operations runs over the latent f32 weights of
 * training and over the packed ones of serving: where these hold the same numbers, both give the same bits.
 */
import type { ModelConfig, Parameter } from '../arch/architecture.ts'
import type { Weights } from '../arch/weights.ts'
import { elementBytes } from '../exec/plan.ts'
import type { Graph, Tensor } from '../graph/graph.ts'
import { invariant } from '../lib/errors.ts'
import { packingOf } from '../weights/choose-packing.ts'
import type { PackingChoice } from '../weights/choose-packing.ts'
import type { MatrixSize, PackedPart, Packing } from '../weights/packing.ts'
import { isTernaryType } from '../weights/registry.ts'
import type { TernaryPacking } from '../weights/ternary-packing.ts'
import { isTernary, parametersOf } from './parameters.ts'

export type { Weights } from '../arch/weights.ts'

/** Declares the trainable f32 parameters, in their order. */
export function latentWeights(g: Graph, config: ModelConfig): Weights {
  const parameters = new Map(parametersOf(config).map(p => [p.name, p]))
  // the matrices of experts stand one below the other
  const flat = (p: Parameter): readonly number[] =>
    p.shape.length === 3 ? [matricesOf(p) * sizeOf(p).out, sizeOf(p).inputs] : p.shape
  const tensors = new Map([...parameters.values()].map(p => [p.name, g.parameter(p.name, flat(p))]))
  return {
    embed: ids => g.embedding(known(tensors, 'token_embedding'), ids),
    head: x => g.linear(x, known(tensors, headOf(config))),
    tensor: name => known(tensors, name),
    bias: name => tensors.get(`${name}.bias`),
    linear: (x, name) => g.linear(x, known(tensors, `${name}.weight`), tensors.get(`${name}.bias`)),
    bitLinear: (x, name) => g.bitLinear(x, known(tensors, `${name}.weight`)),
    expertLinear: (x, name, experts) => {
      const p = parameters.get(`${name}.weight`)!
      return g.expertLinear(x, known(tensors, p.name), experts, { out: sizeOf(p).out, count: matricesOf(p) })
    }
  }
}

/** The parameter that is the head. */
export const headOf = (config: ModelConfig): string => (config.tied === false ? 'head.weight' : 'token_embedding')

/**
 * Whether an f16 head is screened (docs/internals/output-head-screening.md). 'auto': if it is too large for a
 * processor's caches, because a smaller one gains nothing.
 */
export type Screening = boolean | 'auto'

export const isScreened = ({ vocab, hidden, finalSoftcap }: ModelConfig, screen: Screening): boolean =>
  screen !== false &&
  finalSoftcap === undefined &&
  hidden % 256 === 0 &&
  hidden <= 1 << 20 &&
  (screen === true || 2 * vocab * hidden >= SCREENED_BYTES)
const SCREENED_BYTES = 2 ** 26

/** How each matrix of a model is packed, by the name of its parameter. Parameters that are not in it are f32 values. */
export type ServingForm = ReadonlyMap<string, Packing>

/** The prepared parameters of a model: the buffer 'weights' of a serving graph, and their form. */
export interface PackedWeights {
  readonly bytes: Uint8Array
  readonly form: ServingForm
}

export interface FormOptions {
  /** ggml type of a matrix. */
  readonly type: (p: Parameter) => string
  /** How codes of ternary weights are packed. */
  readonly codes: TernaryPacking
  /** Default false. */
  readonly screen?: Screening
  /** Whether matrices, but ternary ones, are f32 with exactly the values that their blocks decode to. Default false. */
  readonly decoded?: boolean
}

/** ggml types for `FormOptions`: token embedding, separate head (default: the embedding's), layers (default: F32). */
export function typesOf({
  embedding,
  head = embedding,
  layers = 'F32'
}: {
  embedding: string
  head?: string
  layers?: string
}): FormOptions['type'] {
  return ({ name }) => {
    if (name === 'token_embedding') return embedding
    return name === 'head.weight' ? head : layers
  }
}

/** How ternary weights are packed; undefined if there are none. */
export const ternaryPacking = (form: ServingForm): TernaryPacking | undefined =>
  [...form.values()].find(packing => packing.ternary !== undefined)?.ternary

/** Whether a parameter is multiplied or looked up: everything else is read as f32 values. */
const isMatrix = ({ shape, whole }: Parameter): boolean => shape.length > 1 && whole !== true

/** Chooses the packing of each matrix. */
export function servingForm(
  config: ModelConfig,
  { type, codes, screen = false, decoded = false }: FormOptions
): ServingForm {
  const head = headOf(config)
  const roleOf = ({ name, shape }: Parameter): PackingChoice['role'] => {
    if (shape.length === 3) return 'experts'
    if (name === head) return 'head'
    return name === 'token_embedding' ? 'table' : 'layer'
  }
  return new Map(
    parametersOf(config)
      .filter(isMatrix)
      .map(p => {
        const choice = { role: roleOf(p), ternary: isTernary(p), codes, screen: isScreened(config, screen) }
        const kind = type(p)
        return [p.name, packingOf(decoded && !isTernaryType(kind) ? 'F32' : kind, choice)]
      })
  )
}

/** The packing of the output head. */
export const headPacking = (config: ModelConfig, form: ServingForm): Packing => form.get(headOf(config))!

/** One buffer of a serving graph's weights. */
export interface ServingPart extends Omit<PackedPart, 'part'> {
  readonly name: string
  readonly of: Parameter
  /** The packing it belongs to, and its name there. Absent: the f32 values of the parameter. */
  readonly packing?: Packing
  readonly part?: string
}

/** Size of a parameter's matrix, or of each of its matrices. */
export const sizeOf = ({ shape }: Parameter): MatrixSize => ({ out: shape.at(-2)!, inputs: shape.at(-1)! })

/** How many matrices a parameter has: the experts of a layer, or one. */
export const matricesOf = ({ shape }: Parameter): number => (shape.length === 3 ? shape[0]! : 1)

/** The parameters of a serving graph, in order. */
export function servingParts(config: ModelConfig, form: ServingForm): ServingPart[] {
  return parametersOf(config).flatMap((of): ServingPart[] => {
    const packing = form.get(of.name)
    if (packing === undefined) return [{ name: of.name, of, dtype: 'f32', shape: of.shape }]
    const stacked = ([groups, ...rest]: readonly number[]): number[] => [groups! * matricesOf(of), ...rest]
    return packing
      .parts(sizeOf(of))
      .map(p => ({ ...p, shape: stacked(p.shape), name: `${of.name}.${p.part}`, of, packing }))
  })
}

/** Bytes of a part. */
export const partBytes = ({ shape, dtype }: ServingPart): number => shape.reduce((n, d) => n * d, elementBytes[dtype])

/** Declares the prepared parameters of serving. */
export function servingWeights(g: Graph, config: ModelConfig, form: ServingForm): Weights {
  const tensors = new Map(servingParts(config, form).map(p => [p.name, g.parameter(p.name, p.shape, p.dtype)]))
  const parameters = new Map(parametersOf(config).map(p => [p.name, p]))
  const matrix = (name: string) => {
    const packing = form.get(name)
    invariant(packing !== undefined, `the model has no matrix ${name}`)
    const of = parameters.get(name)!
    return {
      packing,
      size: sizeOf(of),
      count: matricesOf(of),
      part: (p: string): Tensor => known(tensors, `${name}.${p}`)
    }
  }
  const linear = (x: Tensor, name: string, bias?: Tensor, top?: Tensor): Tensor => {
    const { packing, size, part } = matrix(name)
    return packing.linear(g, x, part, size, bias, top)
  }
  return {
    embed: ids => {
      const { packing, size, part } = matrix('token_embedding')
      invariant(packing.rows !== undefined, `rows of a ${packing.name} matrix`)
      return packing.rows(g, part, ids, size)
    },
    head: (x, top) => linear(x, headOf(config), undefined, top),
    tensor: name => known(tensors, name),
    bias: name => tensors.get(`${name}.bias`),
    linear: (x, name) => linear(x, `${name}.weight`, tensors.get(`${name}.bias`)),
    bitLinear: (x, name) => linear(x, `${name}.weight`),
    expertLinear: (x, name, experts) => {
      const { packing, size, part, count } = matrix(`${name}.weight`)
      invariant(packing.experts !== undefined, `experts of ${packing.name} matrices`)
      return packing.experts(g, x, part, experts, { ...size, count })
    }
  }
}

function known(tensors: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const tensor = tensors.get(name)
  invariant(tensor !== undefined, `the model has no parameter ${name}`)
  return tensor
}
