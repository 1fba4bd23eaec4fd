/** The description of an architecture with the usual decoder shape. Its file passes one to `decoder`. */
import type { DecoderConfig, Field } from './decoder-config.ts'
import type { Fields } from './fields.ts'

export interface Description {
  /** The kind, which is `general.architecture` too. */
  readonly kind: string
  /** Root mean square, or mean and variance with gain and bias. */
  readonly norm: 'rms' | 'layer'
  /** Norms of a branch: of its input, of its output, or both. */
  readonly norms: 'before' | 'after' | 'both'
  /** RMSNorm of queries and keys: of each head, or of the whole projection. */
  readonly qkNorm?: 'head' | 'projection'
  /**
   * Learned vectors, or rotary angles. Files of some architectures rotate neighbours (2i, 2i + 1), others halves
   * (i, i + D/2).
   */
  readonly positions: 'learned' | 'neighbours' | 'halves'
  /** Whether a file may rotate a part of each head only. */
  readonly partialRotary?: boolean
  /** Whether one matrix `attn_qkv` holds queries, keys and values. */
  readonly fusedQkv?: boolean
  /**
   * The feed-forward layer: gated by a matrix of its own, gated by the first half of the rows of `ffn_up`, not gated,
   * or experts. If the configuration has experts, `gated` means experts too.
   */
  readonly mlp: 'gated' | 'fused' | 'plain' | 'experts'
  readonly activation: 'silu' | 'geluTanh'
  /** Linear layers that have biases, and those that may have. */
  readonly biases?: readonly string[]
  readonly optionalBiases?: readonly string[]
  /** Hyperparameters beyond the common ones. A key of another architecture is refused if it would change the model. */
  readonly uses?: readonly Field[]
  /** GGUF names of parameters that differ from the usual ones. */
  readonly names?: Readonly<Record<string, string>>
  /** How Hugging Face's transformers describes such models. Absent: such folders are not read. */
  readonly hf?: HfDescription
  /** Fields that follow from others where a file does not give them. */
  defaults?(c: DecoderConfig): Partial<DecoderConfig>
  /** Whether a layer uses the window. Default: every layer, if there is a window. */
  windowed?(c: DecoderConfig, layer: number): boolean
  /** Whether a layer has rotary positions. Default: every layer. */
  rotated?(c: DecoderConfig, layer: number): boolean
}

/** A model in a folder of Hugging Face's transformers. */
export interface HfDescription {
  /** Values of `model_type` that are read. */
  readonly modelTypes: readonly string[]
  /** Class in `architectures`, and `model_type`, of a folder that is written. Default of the type: the first one. */
  readonly className: string
  readonly writtenType?: (c: DecoderConfig) => { readonly className: string; readonly modelType: string }
  /** Values of the activation's option, the one that is written first, and its name. Default `hidden_act`. */
  readonly activation: readonly string[]
  readonly activationKey?: string
  /** Field names in `config.json` that differ from the usual ones, or that others lack; null: there is none. */
  readonly fields?: Readonly<Partial<Record<Field, string | null>>>
  /** Names of tensors outside blocks that differ from the usual ones. */
  readonly outer?: Readonly<Record<string, string>>
  /** Name before the number of a block. Default 'model.layers'. */
  readonly blocks?: string
  /** Beginning of names that some folders leave out. */
  readonly optionalPrefix?: string
  /** Names of layers that differ from the usual ones. */
  readonly names?: Readonly<Record<string, string>>
  /** Layers whose matrices are stored [in, out]. */
  readonly transposed?: readonly string[]
  /** Layers of convolutions, stored [width, 1, taps]. */
  readonly convolutions?: readonly string[]
  /** Names of the matrices of an expert. */
  readonly experts?: { readonly module: string; readonly gate: string; readonly up: string; readonly down: string }
  /** Tensors that hold nothing of the model. */
  readonly ignored?: RegExp
  /** The values that other options may have; null stands for absence. */
  readonly only?: Readonly<Record<string, readonly unknown[]>>
  /** Where `rope_parameters` has one entry for each kind of layer, the one that is meant. */
  readonly rope?: string
  /** Whether gains of norms lack the 1 that is added to them. */
  readonly gainsLackOne?: boolean
  /** Fields that follow from several others. */
  derive?(json: Fields): Fields
  /** Further options of `config.json`, and the fields that they express. */
  write?(c: DecoderConfig): Fields
  readonly written?: readonly Field[]
}
