/**
 * A model written once, as operations on tensors. Building checks shapes and computes nothing; `gradient` adds the
 * backward ops, `compile` turns a graph into a plan. Activations are [tokens, width], linear weights [out, in]. Equal
 * ops on equal inputs are made once.
 */
import { invariant } from '../lib/errors.ts'
import { panelLayouts } from '../ops/matmul.ts'
import { applyShapeRule, type Given, type Op, type Value } from '../ops/op.ts'
import { gatings, type Gating } from '../ops/experts.ts'
import type { Dim, DType } from '../ops/sizes.ts'
import { opTable } from '../ops/table.ts'

export type TensorKind = 'input' | 'parameter' | 'state' | 'constant' | 'computed'

export interface Tensor extends Value {
  readonly id: number
  readonly kind: TensorKind
  /** Unique among leaves; the op's name and an output number otherwise. */
  readonly name: string
}

export interface Node {
  readonly op: Op
  readonly a: Readonly<Record<string, Dim>>
  readonly inputs: readonly (Tensor | null)[]
  readonly outputs: readonly (Tensor | null)[]
}

/** Where the rows of a batch read and write the cache; see `Graph.attention`. */
export interface AttentionOptions {
  /** Query heads. */
  readonly heads: number
  /** Key and value heads, a divisor of `heads`. Default `heads`. */
  readonly kvHeads?: number
  /** The longest length; in training exactly the sequence length. */
  readonly context: number
  /** Rows of the cache, a multiple of 16. */
  readonly cacheRows: number
  /** i32 [N]: the cache row each token's key and value go to. */
  readonly cacheRow: Tensor
  /** i32 [S, ⌈context/16⌉]: the pages of each sequence, in order; page p is the cache rows 16p … 16p + 15. */
  readonly pages: Tensor
  /** i32 [N]: the sequence each token attends to, a row of `pages`. */
  readonly sequence: Tensor
  /** i32 [N]: how many rows it attends to, 1 … context. */
  readonly length: Tensor
  /** Factor of the scores. Default 1/√D, rounded to f32. */
  readonly scale?: number
  /** How many rows a query sees, its own included: the last ones. Default: all. */
  readonly window?: number
  /** Caps the scaled scores c to softcap·tanh(c/softcap). Default: no cap. */
  readonly softcap?: number
  /** f32 [heads]: scores that join the softmax of every row, without a value. */
  readonly sinks?: Tensor
  /**
   * States of f32 or f16, [cacheRows/16, kvHeads, D, 16] and [cacheRows/16, kvHeads, 16, D], that outlive the run.
   * Default: a cache of this run alone.
   */
  readonly keys?: Tensor
  readonly values?: Tensor
}

/** Where the rows of a batch read and write the cache of a short convolution; see `AttentionOptions`. */
export interface ShortConvOptions extends Pick<
  AttentionOptions,
  'context' | 'cacheRows' | 'cacheRow' | 'pages' | 'sequence' | 'length'
> {
  /** State [cacheRows/16, 1, 16, C] that outlives the run. Default: a cache of this run alone. */
  readonly state?: Tensor
}

/** How a router's logits become a choice of experts; see `Graph.topExperts`. */
export interface ExpertChoice {
  /** softmax over all experts, sigmoid of each, or softmax over the chosen ones. Default `softmax`. */
  readonly gating?: Gating
  /** Whether weights are divided by their sum. Default false. */
  readonly normalise?: boolean
  /** Factor of the weights. Default 1. */
  readonly scale?: number
  /** f32 [experts]: added to the probabilities for the choice alone; gets no gradient. */
  readonly bias?: Tensor | undefined
}

/** Experts i32 [N, used] in descending order and their weights f32 [N, used]. */
export interface ChosenExperts {
  readonly experts: Tensor
  readonly weights: Tensor
}

/**
 * Ternary weights of a BitLinear: t u8 [⌈O/16⌉, ⌈K/16⌉, 16, 4], or with base3 [⌈O/16⌉, ⌈K/20⌉, 16, 4], and m f32 [1].
 */
export interface TernaryWeights {
  /** Five weights to a byte. Default false: four. */
  readonly base3?: boolean
  readonly t: Tensor
  readonly m: Tensor
  /** Number of outputs O, if it is not a multiple of 16. Default 16 times t's first size. */
  readonly out?: number
}

export class Graph {
  readonly tensors: Tensor[] = []
  readonly nodes: Node[] = []
  readonly constants = new Map<Tensor, Float32Array | Int32Array>()
  readonly #leaves = new Map<string, Tensor>()
  readonly #producers = new Map<Tensor, Node>()
  readonly #made = new Map<string, Node>()

  /** Data given anew for each run. */
  input(name: string, dtype: DType, shape: readonly Dim[]): Tensor {
    return this.#leaf(name, 'input', dtype, shape)
  }

  /** A trained (or, in serving, packed) weight, in the buffer 'weights'. */
  parameter(name: string, shape: readonly number[], dtype: DType = 'f32'): Tensor {
    return this.#leaf(name, 'parameter', dtype, shape)
  }

  /** Memory that outlives a run: ops write it, later runs read it. */
  state(name: string, shape: readonly number[], dtype: DType = 'f32'): Tensor {
    return this.#leaf(name, 'state', dtype, shape)
  }

  /** Data known now; `Compiled.constants` hands it to the runs. */
  constant(name: string, data: Float32Array | Int32Array, shape: readonly number[]): Tensor {
    invariant(
      data.length === shape.reduce((n, d) => n * d, 1),
      `constant ${name} has ${data.length} elements, not [${shape.join(', ')}]`
    )
    const tensor = this.#leaf(name, 'constant', data instanceof Float32Array ? 'f32' : 'i32', shape)
    this.constants.set(tensor, data)
    return tensor
  }

  get parameters(): Tensor[] {
    return this.tensors.filter(t => t.kind === 'parameter')
  }

  /** The node that computes a tensor; null for a leaf. */
  producer(tensor: Tensor): Node | null {
    return this.#producers.get(tensor) ?? null
  }

  /**
   * Adds any op of the table.
   * @param given attributes that shapes do not tell
   * @param into states that take the outputs
   * @param fresh makes the op even if an equal one exists
   * @returns all outputs; null for an absent one
   * @throws VeritError VERIT_SHAPE
   */
  apply(
    name: string,
    inputs: readonly (Tensor | null)[],
    given: Given = {},
    { into, fresh = false }: { into?: Tensor; fresh?: boolean } = {}
  ): (Tensor | null)[] {
    const op = opTable.get(name)
    invariant(op, `there is no op ${name}`)
    const { a, outputs } = applyShapeRule(op, inputs, given)
    const key =
      into || fresh || inputs.some(t => t?.kind === 'state')
        ? null
        : `${name} ${inputs.map(t => t?.id ?? '-').join()} ${Object.values(a).join()}`
    const made = key === null ? undefined : this.#made.get(key)
    if (made) return [...made.outputs]
    const tensors = outputs.map(
      (o, i) => o && (into ?? this.#tensor('computed', `${name}.${this.nodes.length}.${i}`, o.dtype, o.shape))
    )
    const node: Node = { op, a, inputs: op.inputs.map((_, i) => inputs[i] ?? null), outputs: tensors }
    this.nodes.push(node)
    if (key !== null) this.#made.set(key, node)
    for (const t of tensors) if (t && t !== into) this.#producers.set(t, node)
    return [...tensors]
  }

  /** a·b (+ bias): a [M, K] ([K, M] with transposeA), b [K, Nc] or, with layoutB 1, [Nc, K] → [M, Nc]. */
  matmul(
    a: Tensor,
    b: Tensor,
    { bias, transposeA = 0, layoutB = 0 }: { bias?: Tensor | undefined; transposeA?: 0 | 1; layoutB?: 0 | 1 } = {}
  ): Tensor {
    return this.#one('matmul', [a, b, bias ?? null], { transposeA, layoutB })
  }

  /** x·wᵀ (+ bias): x [N, in], w [out, in], bias [out] → [N, out]. */
  linear(x: Tensor, w: Tensor, bias?: Tensor): Tensor {
    return this.matmul(x, w, { bias, layoutB: 1 })
  }

  /**
   * `linear` over a weight stored as panels [⌈out/32⌉, in, 32] of f32, f16 or bf16, the layout that products read
   * fastest; serving only.
   */
  packedLinear(x: Tensor, panels: Tensor, out: number, bias?: Tensor): Tensor {
    return this.#one('matmul', [x, panels, bias ?? null], { layoutB: panelLayouts[panels.dtype] ?? NaN, Nc: out })
  }

  /**
   * Rows ids [N] of a table of `rows` rows stored as panels [⌈rows/32⌉, C, 32] of f32, f16 or bf16 → [N, C]; serving
   * only.
   */
  packedEmbedding(panels: Tensor, ids: Tensor, rows: number): Tensor {
    return this.#one('panelRows', [panels, ids], { V: rows })
  }

  /** Rows ids [N] of table [V, C] → [N, C]. */
  embedding(table: Tensor, ids: Tensor): Tensor {
    return this.#one('embedding', [table, ids])
  }

  /** Rows of x [N, C] picked by i32 [M] → [M, C]. */
  gatherRows(x: Tensor, rows: Tensor): Tensor {
    return this.embedding(x, rows)
  }

  /** (x - mean)/√(variance + eps)·gain + bias by row; x [N, C], gain and bias [C]. */
  layerNorm(x: Tensor, gain: Tensor, bias?: Tensor, eps = 1e-5): Tensor {
    return this.#one('layerNorm', [x, gain, bias ?? null], { eps })
  }

  /** x/√(mean square + eps)·gain by row or, with `heads`, by each head of a row; x [N, heads·D], gain [D]. */
  rmsNorm(x: Tensor, gain: Tensor, eps = 1e-5, heads = 1): Tensor {
    return this.#one('rmsNorm', [x, gain], { eps, H: heads })
  }

  /** x·Φ(x), exact. */
  gelu(x: Tensor): Tensor {
    return this.#one('gelu', [x])
  }

  /** x·Φ(x) in its approximation with tanh (Hendrycks & Gimpel 2016). */
  geluTanh(x: Tensor): Tensor {
    return this.#one('geluTanh', [x])
  }

  /** geluTanh(gate)·up. */
  geluTanhGate(gate: Tensor, up: Tensor): Tensor {
    return this.#one('geluTanhGate', [gate, up])
  }

  /** cap·tanh(x/cap) for a cap above 0. */
  softcap(x: Tensor, cap: number): Tensor {
    return this.#one('softcap', [x], { cap })
  }

  /** a·b, element by element. */
  multiply(a: Tensor, b: Tensor): Tensor {
    return this.#one('multiply', [a, b])
  }

  /** relu(gate)²·up. */
  reluSquareGate(gate: Tensor, up: Tensor): Tensor {
    return this.#one('reluSquareGate', [gate, up])
  }

  /** gate·σ(gate)·up. */
  siluGate(gate: Tensor, up: Tensor): Tensor {
    return this.#one('siluGate', [gate, up])
  }

  add(a: Tensor, b: Tensor): Tensor {
    return this.#one('add', [a, b])
  }

  /** x [N, C] + bias [C], by row. */
  addBias(x: Tensor, bias: Tensor): Tensor {
    return this.#one('addBias', [x, bias])
  }

  /** x·s for s [1], which gets no gradient. */
  scale(x: Tensor, s: Tensor): Tensor {
    return this.#one('scale', [x, s])
  }

  /**
   * Zeroes elements with a probability in [0, 1) and scales the others up.
   * @param rng i32 [3]: seed low word, seed high word, micro-step
   * @param site tells the dropouts of a model apart, 0 …
   */
  dropout(x: Tensor, rng: Tensor, site: number, probability: number): Tensor {
    invariant(probability >= 0 && probability < 1, `a dropout probability of ${probability}`)
    if (probability === 0) return x
    const threshold = Math.floor(probability * 4294967296)
    return this.#one('dropout', [x, rng], { purpose: 16 + site, threshold, scale: Math.fround(1 / (1 - probability)) })
  }

  /**
   * Rotates pairs (i, i + R/2) of the first R dimensions of each head, R ≤ D; x [N, heads·D], positions i32 [N], cos
   * and sin [T, R/2].
   */
  rope(x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor, heads: number): Tensor {
    return this.#one('rope', [x, positions, cos, sin], { H: heads })
  }

  /** Columns of x [N, P] as two or three parts (or one). */
  split(x: Tensor, widths: readonly number[]): Tensor[] {
    const [w0 = 0, w1 = 0, w2 = 0] = widths
    return this.apply('split', [x], { w0, w1, w2 }).slice(0, widths.length) as Tensor[]
  }

  /** Up to three parts [N, w], concatenated. */
  concat(parts: readonly Tensor[]): Tensor {
    return this.#one('concat', parts)
  }

  /**
   * Attention of q [N, heads·D] over keys and values k, v [N, kvHeads·D], which are first written to the cache rows
   * given → [N, heads·D]. To be differentiated, N must be whole sequences of `context` rows, row i of sequence b with
   * length i + 1.
   */
  attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
    const { heads, kvHeads = heads, context, cacheRows, cacheRow, pages, sequence, length } = options
    const cache = { G: kvHeads, R: cacheRows, half: options.keys?.dtype === 'f16' ? 1 : 0 }
    const { window = 0, softcap = 0, sinks = null } = options
    const write = (op: string, x: Tensor, into?: Tensor): Tensor =>
      this.apply(op, [x, cacheRow], cache, into ? { into } : {})[0]!
    const keys = write('writeKeys', k, options.keys)
    const values = write('writeValues', v, options.values)
    const given = {
      H: heads,
      T: context,
      window,
      softcap,
      ...(options.scale === undefined ? {} : { scale: options.scale })
    }
    return this.#one('attention', [q, keys, values, pages, sequence, length, sinks], given)
  }

  /**
   * Depthwise causal convolution over time: x [N, C], w [C, L], the last tap for a row itself → [N, C]. Rows of x are
   * first written to the cache; positions before a sequence count as absent. For a gradient the rows must be as
   * `attention` demands.
   */
  shortConv(x: Tensor, w: Tensor, options: ShortConvOptions): Tensor {
    const { context, cacheRows, cacheRow, pages, sequence, length, state } = options
    const into = state ? { into: state } : {}
    const values = this.apply('writeValues', [x, cacheRow], { G: 1, R: cacheRows, half: 0 }, into)[0]!
    return this.#one('shortConv', [values, w, pages, sequence, length], { T: context })
  }

  /** The `used` experts of the largest probabilities for each row of logits [N, experts]; the lower one of equals. */
  topExperts(
    logits: Tensor,
    used: number,
    { gating = 'softmax', normalise = false, scale = 1, bias }: ExpertChoice = {}
  ): ChosenExperts {
    const given = { k: used, gating: gatings.indexOf(gating), normalise: normalise ? 1 : 0, scale }
    const [experts, weights] = this.apply('topExperts', [logits, bias ?? null], given)
    return { experts: experts!, weights: weights! }
  }

  /**
   * Products with the matrices of each row's experts: x [N, in], or [N, used·in] with an input for each expert → [N,
   * used·out].
   * @param w [count·out, in], or for serving panels [count·⌈out/32⌉, in, 32] of f32, f16 or bf16
   * @param experts i32 [N, used]
   */
  expertLinear(x: Tensor, w: Tensor, experts: Tensor, { out, count }: { out: number; count: number }): Tensor {
    return this.#one('expertMatmul', [x, w, experts], { O: out, E: count })
  }

  /** Sum of y [N, used·C] over the experts of a row, each times its weight [N, used] → [N, C]. */
  expertSum(y: Tensor, weights: Tensor): Tensor {
    return this.#one('expertSum', [y, weights])
  }

  /**
   * x·wᵀ with x rounded to int8 by row and w to -1, 0, 1 with one scale: x [N, K], w latent [O, K] or ternary → [N, O].
   */
  bitLinear(x: Tensor, w: Tensor | TernaryWeights): Tensor {
    const [q, scale, sum] = this.apply('quantizeRows', [x])
    const K = x.shape[1]
    const latent = 'kind' in w
    const [t, m] = latent ? this.apply('ternarize', [w]) : [w.t, w.m]
    return this.#one(!latent && w.base3 ? 'ternaryMatmulBase3' : 'ternaryMatmul', [q!, scale!, sum!, t!, m!], {
      O: latent ? w.shape[0]! : (w.out ?? (w.t.shape[0] as number) * 16),
      K: K!
    })
  }

  /** -log softmax(logits [N, V])[targets i32 [N]] → [N]; a target of -1 counts as loss 0. */
  crossEntropy(logits: Tensor, targets: Tensor): Tensor {
    return this.#one('crossEntropy', [logits, targets])
  }

  /** Mean of x [N] → [1]. */
  mean(x: Tensor): Tensor {
    return this.#one('mean', [x])
  }

  #one(op: string, inputs: readonly (Tensor | null)[], given: Given = {}): Tensor {
    return this.apply(op, inputs, given)[0]!
  }

  #leaf(name: string, kind: TensorKind, dtype: DType, shape: readonly Dim[]): Tensor {
    invariant(!this.#leaves.has(name) && !['arena', 'weights', 'gradients'].includes(name), `the name ${name} is taken`)
    const tensor = this.#tensor(kind, name, dtype, shape)
    this.#leaves.set(name, tensor)
    return tensor
  }

  #tensor(kind: TensorKind, name: string, dtype: DType, shape: readonly Dim[]): Tensor {
    const tensor: Tensor = { id: this.tensors.length, kind, name, dtype, shape: [...shape] }
    this.tensors.push(tensor)
    return tensor
  }
}
