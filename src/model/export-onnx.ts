/**
 * Writes a model as ONNX with a cache of keys and values, in the layout of ONNX Runtime GenAI: `model.onnx`, its
 * weights as f32 in `model.onnx.data`, `genai_config.json`, and the files of the tokenizer. The forward pass is the one
 * that Verit trains and serves, lowered op by op.
 */
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { architecture } from '../arch/registry.ts'
import { OnnxBuilder } from '../formats/onnx.ts'
import type { ExternalTensor } from '../formats/onnx.ts'
import { Graph } from '../graph/graph.ts'
import type { Tensor } from '../graph/graph.ts'
import { AtomicFile, writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { OutFolder } from '../lib/out-folder.ts'
import { VERSION } from '../lib/version.ts'
import { GENAI_CONFIG, genaiConfig, isGenaiFolder } from './genai-config.ts'
import { PAGE_ROWS, forward, pagesOf } from './graphs.ts'
import { hfTokenizerFiles } from './hf-tokenizer.ts'
import type { ModelSource } from './model-source.ts'
import { OnnxEmitter } from './onnx-emitter.ts'
import { onnxLowerings } from './onnx-lowerings.ts'
import { elementsOf, isTernaryModel, parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { fileRows, pickRows } from './row-order.ts'
import { latentWeights } from './weights.ts'

export interface OnnxExportOptions {
  /** Whether an existing folder with such a model is replaced. Default false. */
  readonly overwrite?: boolean
  /** Told the weights that are written, and of how many. */
  readonly onProgress?: (done: number, of: number) => void
  /** Once it is aborted, its reason is thrown, and nothing is left of the folder. */
  readonly signal?: AbortSignal
}

export interface OnnxExport {
  readonly bytes: number
  readonly tensors: number
  /** Version of the operators. */
  readonly opset: number
  readonly files: readonly string[]
}

const MODEL = 'model.onnx'
const DATA = 'model.onnx.data'
const OPSET = 17
const SLICE = 1 << 20

/**
 * @throws VeritError VERIT_USAGE for a model with an operation that has no lowering, VERIT_FILE_EXISTS
 */
export async function exportOnnx(
  source: ModelSource,
  path: string,
  options: OnnxExportOptions = {}
): Promise<OnnxExport> {
  const { onnx, constants } = build(source)
  const folder = new OutFolder(path, {
    force: options.overwrite === true,
    isOwn: isGenaiFolder,
    kind: 'a folder with a model in the form of ONNX Runtime GenAI',
    hint: 'Choose another name'
  })
  try {
    const model = onnx.done('verit', OPSET, ['verit', VERSION])
    const dataBytes = await writeData(join(folder.temporary, DATA), source, onnx.external, constants, options)
    const texts: (readonly [string, string | Uint8Array])[] = [
      [MODEL, model],
      [GENAI_CONFIG, `${JSON.stringify(genaiConfig(source, MODEL), null, 2)}\n`],
      ...hfTokenizerFiles(source)
    ]
    for (const [name, content] of texts) {
      makeFolder(dirname(join(folder.temporary, name)))
      writeFileAtomic(join(folder.temporary, name), content)
    }
    folder.commit()
    return {
      bytes: model.length + dataBytes,
      tensors: onnx.external.length,
      opset: OPSET,
      files: [DATA, ...texts.map(([name]) => name)].sort()
    }
  } catch (e) {
    folder.abort()
    throw e
  }
}

/** The model without its weights, and the constants among the external tensors. */
function build({ name, config }: ModelSource): { onnx: OnnxBuilder; constants: ReadonlyMap<string, Float32Array> } {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_USAGE', { problem, hint: 'Write it as GGUF, or for transformers with --to hf' })
  }
  if (isTernaryModel(config)) refuse(`${name} is a ${config.kind} model: ONNX has no product with ternary weights`)
  const g = new Graph()
  const w = latentWeights(g, config)
  const { context } = config
  const row = (input: string): Tensor => g.input(input, 'i32', ['rows'])
  const at = {
    ids: row('ids'),
    positions: row('positions'),
    cacheRow: row('cacheRow'),
    pages: g.input('pages', 'i32', [1, pagesOf(context)]),
    sequence: row('sequence'),
    length: row('length'),
    cacheRows: pagesOf(context) * PAGE_ROWS,
    context
  }
  const logits = architecture(config).logits(g, config, w, forward(g, config, w, at))
  const onnx = new OnnxBuilder(DATA)
  const e = new OnnxEmitter(onnx, g, onnxLowerings)
  const missing = e.missing()
  if (missing.length > 0)
    refuse(`${name} is a ${config.kind} model: there is no form of ${missing.join(', ')} for ONNX in Verit`)
  const ids = onnx.input('input_ids', 'int64', ['batch', 'new'])
  onnx.input('attention_mask', 'int64', ['batch', 'total'])
  const positions = onnx.input('position_ids', 'int64', ['batch', 'new'])
  e.name(at.ids, e.reshape(ids, -1))
  e.name(at.positions, e.reshape(positions, -1))
  for (const tensor of g.parameters) e.name(tensor, onnx.weight(tensor.name, tensor.shape as number[]))
  const constants = new Map<string, Float32Array>()
  for (const [tensor, data] of g.constants) {
    const floats = Float32Array.from(data)
    constants.set(tensor.name, floats)
    e.name(tensor, onnx.weight(tensor.name, tensor.shape as number[]))
  }
  const rows = e.lower(logits)
  const shape = e.op('Concat', [e.op('Shape', ['input_ids']), e.ints(config.vocab)], { axis: { int: 0 } })
  onnx.node('Reshape', [rows, shape], {}, ['logits'])
  onnx.output('logits', 'float', ['batch', 'new', config.vocab])
  return { onnx, constants }
}

async function writeData(
  path: string,
  source: ModelSource,
  tensors: readonly ExternalTensor[],
  constants: ReadonlyMap<string, Float32Array>,
  { onProgress, signal }: OnnxExportOptions
): Promise<number> {
  const parameters = new Map(parametersOf(source.config).map(p => [p.name, p]))
  const total = [...parameters.values()].reduce((n, p) => n + elementsOf(p), 0)
  using file = new AtomicFile(path)
  let done = 0
  for (const { name, offset } of tensors) {
    file.write(new Uint8Array(offset - file.position))
    const p = parameters.get(name)
    if (p === undefined) {
      file.write(bytesOf(constants.get(name)!))
      continue
    }
    for (const values of slices(source, p)) {
      file.write(bytesOf(values))
      onProgress?.((done += values.length), total)
      await setImmediate()
      signal?.throwIfAborted()
    }
  }
  file.commit()
  return file.position
}

/** The values of a parameter in the order of the model. */
function* slices(source: ModelSource, p: Parameter): Generator<Float32Array> {
  const width = p.shape.length === 1 ? 1 : p.shape.at(-1)!
  const rows = elementsOf(p) / width
  const order = fileRows(source.config, p.name)
  if (order !== undefined) {
    yield pickRows(source.floats(p, 0, rows), order, width)
    return
  }
  const most = p.shape.length === 1 ? rows : Math.max(1, Math.floor(SLICE / width))
  for (let from = 0; from < rows; from += most) yield source.floats(p, from, Math.min(most, rows - from))
}

const bytesOf = (a: Float32Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength)
