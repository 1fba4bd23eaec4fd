/**
 * The interface of an architecture: one row of the registry (registry.ts). A row describes the file formats, the
 * parameters, the forward pass and the per-layer caches. No code outside this folder depends on a kind.
 */
import type { GgufFile } from '../formats/gguf-reader.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import type { Graph, Tensor } from '../graph/graph.ts'
import type { CacheType } from '../lib/compute-settings.ts'
import type { Fields } from './fields.ts'
import type { Placement } from './placement.ts'
import type { Weights } from './weights.ts'

/** The part of a configuration that all architectures share; each adds its own fields. */
export interface ModelConfig {
  /** The `kind` of its architecture. */
  readonly kind: string
  readonly layers: number
  /** Width of the residual stream. */
  readonly hidden: number
  readonly heads: number
  /** Width of the feed-forward layer. */
  readonly ffn: number
  /** Positions a sequence may have. */
  readonly context: number
  readonly vocab: number
  /** Epsilon of the norms. */
  readonly eps: number
  /** Whether the output head shares the weights of the token embedding. Default true. */
  readonly tied?: boolean
  /** c of c · tanh(logit/c). Absent: no cap. Such a head is not screened, because the cap would make -∞ finite. */
  readonly finalSoftcap?: number
  /** Experts per token. Absent: no experts. */
  readonly expertsUsed?: number
  /** Share of elements dropped in training. Absent: none. */
  readonly dropout?: number
}

export interface Parameter {
  readonly name: string
  /**
   * [out, in] for a linear layer, [experts, out, in] for a set of them, [rows, hidden] for an embedding, [width]
   * for a norm or bias.
   */
  readonly shape: readonly number[]
  /**
   * 'normal': N(0, 0.02); 'residual': the same divided by sqrt(2 · layers), for projections into the residual stream;
   * 'one' and 'zero': constants.
   */
  readonly init: 'normal' | 'residual' | 'one' | 'zero'
  /**
   * How training quantises the matrix at each step. 'ternary': -1, 0 and 1 times one scale, with int8 activations
   * (BitLinear). Absent: not quantised.
   */
  readonly quantization?: 'ternary'
  /** A matrix that operations read unpacked, not as rows of a table or columns of a product. */
  readonly whole?: true
  /** Elements [from, to) whose gradient is zero in exact arithmetic; see `clearZeroGradients`. */
  readonly zeroGradient?: readonly [from: number, to: number]
}

/**
 * What a layer caches for each earlier position: keys and values of its heads, or one column of a short convolution.
 */
export type LayerCache =
  | { readonly kind: 'attention'; readonly kvHeads: number; readonly headDim: number }
  | { readonly kind: 'conv'; readonly width: number }

export type { CacheType }

/** A tensor of a file that is not a parameter: the configuration fixes its values. */
export interface FixedTensor {
  /** Its GGUF name. */
  readonly name: string
  readonly values: Float32Array<ArrayBuffer>
}

/** The part of an architecture that only training needs. */
export interface Training {
  /** Learning rate at width 128; it falls with the root of the width. */
  readonly rate: number
  /** Fields of the model of the one dial (docs/internals/training.md). */
  ofDepth(depth: number): Record<string, unknown>
}

/** A tensor in a folder of Hugging Face's transformers, or some of its rows. */
export interface HfPart {
  readonly name: string
  /** Of the whole tensor. Its last dimension is the width of a row, unless it is transposed. */
  readonly shape: readonly number[]
  /** Its rows that count, all dimensions but the last taken as one. Default: all. */
  readonly from?: number
  readonly rows?: number
  /** Whether the tensor is [in, out] (Conv1D of GPT-2). */
  readonly transposed?: true
}

/** How folders of Hugging Face's transformers hold the models of an architecture. */
export interface HfFormat<C extends ModelConfig = ModelConfig> {
  /** Values of `model_type`. */
  readonly modelTypes: readonly string[]
  /** Whether it is the format of this model, which has one of `modelTypes`. Absent: of each. */
  claims?(json: Fields): boolean
  /** @throws VeritError VERIT_MODEL_CONFIG naming the field of `config.json` */
  read(json: Fields, has: (tensor: string) => boolean): C
  /**
   * The content of `config.json`, without ids of tokens.
   * @throws VeritError VERIT_MODEL_CONFIG naming the field that transformers has no option for
   */
  write(config: C): Fields
  /** Where a parameter may be, the usual place first: its rows are those of the parts, in order. */
  layouts(parameter: Parameter): readonly (readonly HfPart[])[]
  /** Constant added to each element of a parameter. */
  addend(parameter: string): number
  /** Tensors that a folder has in addition, all zeros: the class has them in any case. */
  zeros?(config: C): readonly HfPart[]
  /** Tensors that hold nothing of the model, such as masks. */
  readonly ignored?: RegExp
  /** Absent: no parameter is ternary. */
  ternaryStorage?(json: Fields): TernaryStorage
}

/** How the ternary weights of a folder are stored: packed, or in floating point. */
export interface TernaryStorage {
  /** Meaning of `weight_scale` for packed weights: `bitlinear` divides by it, `autobitlinear` multiplies. */
  readonly scale: 'divides' | 'multiplies'
  /** Whether weights in floating point are latent ones, ternarised at each step, or ternary already. */
  readonly latent: boolean
}

export interface Architecture<C extends ModelConfig = ModelConfig> {
  readonly kind: string
  /** Values of `general.architecture` that it may run. */
  readonly ggufNames: readonly string[]
  /**
   * Whether it runs this file, which has one of `ggufNames`. Absent: it runs each. The first row that does is
   * taken.
   */
  claims?(file: GgufFile): boolean
  /**
   * The pre-tokenizer of byte-level BPE in files of one of `ggufNames` that do not name it. Absent, and undefined: the
   * default of llama.cpp.
   */
  unnamedPretokenizer?(ggufName: string): string | undefined
  /** Absent: its models are only run. */
  readonly training?: Training

  /** Checks an untrusted configuration and fills in defaults. @throws VeritError VERIT_MODEL_CONFIG naming the field */
  parse(fields: Fields): C
  /**
   * The configuration that a file describes.
   * @throws VeritError VERIT_MODEL_CONFIG or VERIT_GGUF naming field or key
   */
  readGguf(file: GgufFile, vocab: number): C
  /** The `general.architecture` that a model is written as. */
  ggufName(config: C): string
  /** Metadata of a configuration: the keys under the architecture's prefix, and those that GGUF lacks. */
  ggufEntries(config: C): [string, GgufValue][]
  /** GGUF name of a parameter. */
  tensorName(parameter: string): string
  /** For each row of a parameter, the row in a file; undefined where the order is the same. */
  fileRows(config: C, parameter: string): Int32Array | undefined
  fixedTensors(config: C): FixedTensor[]
  /** Why no release of llama.cpp runs the model in any form; undefined where one does. */
  llamaCppProblem(config: C): { readonly problem: string; readonly hint: string } | undefined

  /** Absent: transformers has no such models. */
  readonly hf?: HfFormat<C>

  /** The named parameters in the order in which the model uses them. */
  parameters(config: C): Parameter[]
  /** Rows of tokens -> rows of the final norm [N, hidden]. */
  forward(g: Graph, config: C, w: Weights, at: Placement): Tensor
  /** Rows of the final norm -> logits [N, vocab]. @param top see `Weights.head` */
  logits(g: Graph, config: C, w: Weights, x: Tensor, top?: Tensor): Tensor
  /** By layer. */
  caches(config: C): LayerCache[]
  /**
   * Element type of the KV cache unless a setting gives another. f32 for kinds that Verit trains, so that serving
   * computes the forward pass of training to the bit; f16 for models of other programs.
   */
  readonly cacheType: CacheType
  /** Cosines in the rotary tables for each position of the context. */
  rotaryPairs(config: C): number
}
