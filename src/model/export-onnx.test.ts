/**
 * The form of an exported model: what it names, and where its weights are. test/full/onnx.test.ts runs such models in
 * ONNX Runtime.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { byteTokenizer } from '../bench/random-model.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { VeritError } from '../lib/errors.ts'
import { ProtobufReader } from '../tokenizer/protobuf-reader.ts'
import { parseModelConfig } from './config.ts'
import { exportGguf } from './export-gguf.ts'
import { exportOnnx } from './export-onnx.ts'
import type { OnnxExport, OnnxExportOptions } from './export-onnx.ts'
import { initialWeights } from './initialise.ts'
import { ggufSource } from './model-source.ts'
import { parametersOf } from './parameters.ts'
import { fileRows, pickRows } from './row-order.ts'

const fixtures = fileURLToPath(new URL('../../test/fixtures/models', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'verit-export-onnx-'))
after(() => rmSync(folder, { recursive: true }))

async function exported(path: string, to: string, options: OnnxExportOptions = {}): Promise<OnnxExport> {
  using file = openGguf(path)
  return await exportOnnx(ggufSource(file), join(folder, to), options)
}

/** Fields of a message: numbers, and bytes of what has a length. */
function fields(bytes: Buffer): Map<number, (bigint | Buffer)[]> {
  const found = new Map<number, (bigint | Buffer)[]>()
  const reader = new ProtobufReader(bytes, problem => assert.fail(problem))
  for (let field = reader.next(); field !== undefined; field = reader.next()) {
    const { number, wire } = field
    const values = found.get(number) ?? []
    const begin = reader.at
    reader.skip(field)
    if (wire === 2) {
      let at = begin
      while ((bytes[at]! & 128) !== 0) at++
      values.push(bytes.subarray(at + 1, reader.at))
    } else values.push(0n)
    found.set(number, values)
  }
  return found
}

const texts = (values: readonly (bigint | Buffer)[] = []): string[] => values.map(value => value.toString())
const names = (graph: ReturnType<typeof fields>, list: number): string[] =>
  (graph.get(list) ?? []).map(value => texts(fields(value as Buffer).get(1))[0]!)

test('a model has the inputs, outputs and files of ONNX Runtime GenAI, and its weights as they are', async () => {
  const path = join(fixtures, 'llama.gguf')
  const { files } = await exported(path, 'llama')
  assert.deepEqual(readdirSync(join(folder, 'llama')).sort(), [...files].sort())
  const bytes = readFileSync(join(folder, 'llama', 'model.onnx'))
  const graph = fields(fields(bytes).get(7)![0] as Buffer)
  const layers = [0, 1, 2]
  const cache = (prefix: string): string[] => layers.flatMap(l => [`${prefix}.${l}.key`, `${prefix}.${l}.value`])
  assert.deepEqual(names(graph, 11), ['input_ids', 'attention_mask', 'position_ids', ...cache('past_key_values')])
  assert.deepEqual(names(graph, 12), [...cache('present'), 'logits'])

  const data = readFileSync(join(folder, 'llama', 'model.onnx.data'))
  const places = new Map<string, { offset: number; length: number }>()
  for (const initializer of graph.get(5)!) {
    const tensor = fields(initializer as Buffer)
    const external = (tensor.get(13) ?? []).map(entry => texts([...fields(entry as Buffer).values()].flat()))
    if (external.length === 0) continue
    const entry = Object.fromEntries(external) as Record<string, string>
    assert.equal(entry['location'], 'model.onnx.data')
    places.set(texts(tensor.get(8))[0]!, { offset: Number(entry['offset']), length: Number(entry['length']) })
  }
  using file = openGguf(path)
  const source = ggufSource(file)
  for (const p of parametersOf(source.config)) {
    const { offset, length } = places.get(p.name)!
    assert.equal(offset % 64, 0)
    const given = source.floats(p, 0, p.shape[0]!)
    const order = fileRows(source.config, p.name)
    const wanted = order === undefined ? given : pickRows(given, order, p.shape[1]!)
    assert.deepEqual(new Float32Array(new Uint8Array(data.subarray(offset, offset + length)).buffer), wanted, p.name)
  }
  const config = JSON.parse(readFileSync(join(folder, 'llama', 'genai_config.json'), 'utf8')) as {
    model: { vocab_size: number; decoder: Record<string, unknown> }
  }
  assert.equal(config.model.vocab_size, 512)
  assert.deepEqual(config.model.decoder['num_key_value_heads'], 2)
})

test('a model with operations that ONNX lacks here is refused by their names, before anything is written', async () => {
  const refused = (path: string, words: RegExp): Promise<void> =>
    assert.rejects(exported(path, 'refused'), e => VeritError.is(e, 'VERIT_USAGE') && words.test(e.message))
  await refused(join(fixtures, 'lfm2.gguf'), /no form of shortConv for ONNX/)
  const config = parseModelConfig({
    kind: 'bitnet',
    layers: 1,
    hidden: 32,
    heads: 4,
    kvHeads: 2,
    ffn: 48,
    context: 16,
    vocab: 300
  })
  const weights = initialWeights(config, 4)
  const path = join(folder, 'bitnet.gguf')
  await exportGguf(path, referenceExecutor(), config, byteTokenizer(300), p => weights.get(p.name)!, { name: 'b' })
  await refused(path, /ONNX has no product with ternary weights/)
  assert.ok(statSync(join(folder, 'refused'), { throwIfNoEntry: false }) === undefined)
})

test('a folder is replaced only if it is such a model and that is asked for; an interruption leaves nothing', async () => {
  const path = join(fixtures, 'gpt2.gguf')
  await exported(path, 'twice')
  await assert.rejects(exported(path, 'twice'), e => VeritError.is(e, 'VERIT_FILE_EXISTS'))
  await exported(path, 'twice', { overwrite: true })
  const before = readdirSync(folder)
  const stop = new AbortController()
  const onProgress = (): void => stop.abort(new Error('stopped'))
  await assert.rejects(exported(path, 'stopped', { onProgress, signal: stop.signal }), /stopped/)
  assert.deepEqual(readdirSync(folder), before)
})
