/**
 * The graphs of a model: training (loss and gradients), evaluation (the loss of each token) and serving (logits of the
 * rows that are wanted, over a key and value cache that lasts). All three run one forward pass, so their numbers agree
 * to the bit.
 */
import { compile } from '../graph/compile.ts'
import type { Compiled } from '../graph/compile.ts'
import { gradient } from '../graph/gradient.ts'
import { Graph } from '../graph/graph.ts'
import type { Tensor } from '../graph/graph.ts'
import type { Dim } from '../exec/plan.ts'
import { PAGE_ROWS } from '../ops/attention.ts'
import type { CacheType, LayerCache, ModelConfig } from '../arch/architecture.ts'
import type { LayerState, Placement } from '../arch/placement.ts'
import { architecture } from '../arch/registry.ts'
import { headPacking, latentWeights, servingWeights } from './weights.ts'
import type { ServingForm, Weights } from './weights.ts'

export { PAGE_ROWS }

/** Pages of a sequence of this many positions. */
export const pagesOf = (positions: number): number => Math.ceil(positions / PAGE_ROWS)

/** Rows of tokens -> rows of the final norm [N, hidden]. */
export function forward(g: Graph, config: ModelConfig, w: Weights, at: Placement): Tensor {
  return architecture(config).forward(g, config, w, at)
}

/** Rows of the final norm -> logits [N, vocab]. @param top see `Weights.head` */
const logitsOf = (g: Graph, config: ModelConfig, w: Weights, x: Tensor, top?: Tensor): Tensor =>
  architecture(config).logits(g, config, w, x, top)

/** Number of sequences, each `context` rows long. */
export interface BatchShape {
  readonly batch: number
  /** Tokens of a sequence, at most the model's context. */
  readonly context: number
}

function placementInputs(g: Graph, rows: Dim, sequences: number, cacheRows: number, context: number): Placement {
  const row = (name: string): Tensor => g.input(name, 'i32', [rows])
  const pages = g.input('pages', 'i32', [sequences, pagesOf(context)])
  return {
    ids: row('ids'),
    positions: row('positions'),
    cacheRow: row('cacheRow'),
    pages,
    sequence: row('sequence'),
    length: row('length'),
    cacheRows,
    context
  }
}

function batchPlacement(g: Graph, shape: BatchShape): Placement {
  return placementInputs(
    g,
    shape.batch * shape.context,
    shape.batch,
    shape.batch * pagesOf(shape.context) * PAGE_ROWS,
    shape.context
  )
}

/** The inputs of a batch of whole sequences that are the same for every batch. */
export function batchInputs({
  batch,
  context
}: BatchShape): Record<'positions' | 'cacheRow' | 'pages' | 'sequence' | 'length', Int32Array<ArrayBuffer>> {
  const rows = batch * context
  const make = (value: (sequence: number, i: number) => number): Int32Array<ArrayBuffer> =>
    Int32Array.from({ length: rows }, (_, r) => value(Math.floor(r / context), r % context))
  const width = pagesOf(context)
  return {
    positions: make((_, i) => i),
    cacheRow: make((b, i) => b * width * PAGE_ROWS + i),
    pages: Int32Array.from({ length: batch * width }, (_, i) => i),
    sequence: make(b => b),
    length: make((_, i) => i + 1)
  }
}

/**
 * Forward and backward over a micro-batch. Inputs: `ids`, `targets`, those of `batchInputs`, `lossScale` f32[1] (dLoss:
 * 1 / micro-batches), and `rng` i32[3] where the model has dropout. Outputs: `loss` f32[1] (the mean), `logits` on
 * request; the gradients fill the buffer 'gradients', laid out like 'weights'.
 */
export function trainingGraph(config: ModelConfig, shape: BatchShape, options: { logits?: boolean } = {}): Compiled {
  const g = new Graph()
  const w = latentWeights(g, config)
  const dropout = (config.dropout ?? 0) > 0
  const at = { ...batchPlacement(g, shape), ...(dropout ? { rng: g.input('rng', 'i32', [3]) } : {}) }
  const logits = logitsOf(g, config, w, forward(g, config, w, at))
  const loss = g.mean(g.crossEntropy(logits, g.input('targets', 'i32', [shape.batch * shape.context])))
  const { gradients } = gradient(g, loss)
  return compile(g, { limits: none, outputs: { loss, ...(options.logits ? { logits } : {}) }, gradients })
}

/**
 * The loss of each token of a batch, without dropout. `weights` selects the parameters: 'latent' those of training, a
 * form those of `servingParts`. Inputs as in training; a target of -1 gives a loss of 0. Outputs: `losses` f32[batch ·
 * context], `logits` f32[batch · context, vocab] on request.
 */
export function evaluationGraph(
  config: ModelConfig,
  shape: BatchShape,
  weights: 'latent' | ServingForm,
  options: { logits?: boolean } = {}
): Compiled {
  const g = new Graph()
  const w = weights === 'latent' ? latentWeights(g, config) : servingWeights(g, config, weights)
  const logits = logitsOf(g, config, w, forward(g, config, w, batchPlacement(g, shape)))
  const losses = g.crossEntropy(logits, g.input('targets', 'i32', [shape.batch * shape.context]))
  return compile(g, { limits: none, outputs: { losses, ...(options.logits ? { logits } : {}) } })
}

export interface ServingShape {
  /** Most rows (tokens) of one run. */
  readonly rows: number
  /** Most rows of one run whose logits are wanted. */
  readonly outputs: number
  /** Rows of the key and value cache, a multiple of 16, shared by all sequences. */
  readonly cacheRows: number
  /** Sequences that have a page table. */
  readonly sequences: number
  /** Positions of a sequence. Default and most: the model's context. */
  readonly context?: number
  /** Type of cached keys and values. Default f32. Columns of short convolutions are f32 always. */
  readonly cacheType?: CacheType
}

function layerState(
  g: Graph,
  layer: number,
  cache: LayerCache,
  { cacheRows, cacheType = 'f32' }: ServingShape
): LayerState {
  const pages = cacheRows / PAGE_ROWS
  if (cache.kind === 'conv') return { values: g.state(`values.${layer}`, [pages, 1, PAGE_ROWS, cache.width]) }
  const { kvHeads, headDim } = cache
  return {
    keys: g.state(`keys.${layer}`, [pages, kvHeads, headDim, PAGE_ROWS], cacheType),
    values: g.state(`values.${layer}`, [pages, kvHeads, PAGE_ROWS, headDim], cacheType)
  }
}

/**
 * Serving over a lasting cache. Inputs [rows] i32: `ids`, `positions`, `cacheRow`, `sequence`, `length` and `pages`
 * i32[sequences, ⌈context/16⌉] (see `Placement`); `outputRows` i32[outputs]: the rows whose logits are wanted; `top`
 * i32[outputs] where the head is screened: how many of the largest are (0: all). States: `keys.L` and `values.L` for
 * each layer L, zero at first. Output: `logits` f32[outputs, vocab]. Parameters: `servingParts(config, form)`.
 */
export function servingGraph(config: ModelConfig, shape: ServingShape, form: ServingForm): Compiled {
  const g = new Graph()
  const w = servingWeights(g, config, form)
  const caches = architecture(config).caches(config)
  const cache = (layer: number): LayerState => layerState(g, layer, caches[layer]!, shape)
  const at = { ...placementInputs(g, 'rows', shape.sequences, shape.cacheRows, shape.context ?? config.context), cache }
  const x = forward(g, config, w, at)
  const top = headPacking(config, form).screened ? g.input('top', 'i32', ['outputs']) : undefined
  const logits = logitsOf(g, config, w, g.gatherRows(x, g.input('outputRows', 'i32', ['outputs'])), top)
  return compile(g, { limits: { rows: shape.rows, outputs: shape.outputs }, outputs: { logits } })
}

/**
 * Hidden states of a batch of texts, one a window. Inputs: `ids`, those of `batchInputs`, and `pooledRows` i32[batch]
 * (the row of each window that counts) unless all are wanted. Output, by its name: `hidden` f32[batch · context,
 * width], `pooled` f32[batch, width], or `logits` f32[batch, vocab].
 */
export function pooledGraph(
  config: ModelConfig,
  shape: BatchShape,
  form: ServingForm,
  output: 'hidden' | 'pooled' | 'logits'
): Compiled {
  const g = new Graph()
  const w = servingWeights(g, config, form)
  const x = forward(g, config, w, batchPlacement(g, shape))
  if (output === 'hidden') return compile(g, { limits: none, outputs: { hidden: x } })
  const pooled = g.gatherRows(x, g.input('pooledRows', 'i32', [shape.batch]))
  if (output === 'pooled') return compile(g, { limits: none, outputs: { pooled } })
  // Zeros in `top` ask a screened head for all logits.
  const top = headPacking(config, form).screened ? g.input('top', 'i32', [shape.batch]) : undefined
  return compile(g, { limits: none, outputs: { logits: logitsOf(g, config, w, pooled, top) } })
}

/** Limits of a graph whose sizes are all fixed. */
const none = { rows: 1, outputs: 1 }
