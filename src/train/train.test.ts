import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Evaluator } from '../eval/evaluator.ts'
import { bytesOf, tokensInMemory } from '../eval/token-source.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { VeritError } from '../lib/errors.ts'
import { checkpointName } from '../lib/run-files.ts'
import { parseModelConfig } from '../model/config.ts'
import { loadModel } from '../model/load-gguf.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { digestBytes } from '../trust/digest.ts'
import { exportCheckpoint } from './checkpoint-model.ts'
import { Checkpoint } from './checkpoint.ts'
import { parseTrainOptions } from './options.ts'
import { modelName, planRun } from './plan-run.ts'
import { trainDefaults } from './presets.ts'
import type { RecordFile } from './record.ts'
import { RunFolder } from './run-folder.ts'
import { readSettings } from './run-settings.ts'
import type { TrainResult, TrainSetup } from './setup.ts'
import { train } from './train.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-train-'))
after(() => rmSync(root, { recursive: true }))

const characters = 'abcdefghijklm'
const tokenizer = Tokenizer.fromParts({
  tokens: [...characters],
  tokenTypes: [...characters].map(() => 1),
  merges: [],
  pretokenizer: 'character'
})
const ids = Int32Array.from({ length: 400 }, (_, i) => (i * i + (i >> 3)) % 13)
const [learn, validation] = [tokensInMemory(ids.subarray(0, 330)), tokensInMemory(ids.subarray(330))]
const data = { train: learn, validation, tokenizer, digest: `sha256:${'0'.repeat(64)}` }
const silent = { write: (): void => undefined }

/** Odd sizes on purpose: a context that is no multiple of 16, a vocabulary of 13, three micro-batches. */
const models = {
  gpt: parseModelConfig({
    kind: 'gpt',
    layers: 2,
    hidden: 12,
    heads: 2,
    context: 7,
    vocab: 13,
    bias: true,
    dropout: 0.1
  }),
  bitnet: parseModelConfig({
    kind: 'bitnet',
    layers: 2,
    hidden: 24,
    heads: 4,
    kvHeads: 2,
    ffn: 40,
    context: 7,
    vocab: 13
  })
}
const options = parseTrainOptions({
  ...trainDefaults,
  steps: 6,
  warmup: 2,
  batch: 2,
  microBatches: 3,
  lr: 1e-2,
  lrFloor: 1e-3,
  evalEvery: 2,
  evalTokens: 40,
  seed: 5
})

async function runIn(folder: string, kind: keyof typeof models, rest: Partial<TrainSetup> = {}): Promise<TrainResult> {
  using run = new RunFolder(join(root, folder))
  const settings = { data: '/data', name: 'test', saveEvery: 3, keep: 2 }
  return await train({
    executor: referenceExecutor(),
    run,
    settings,
    config: models[kind],
    options,
    data,
    resume: false,
    progress: silent,
    ...rest
  })
}

const code =
  (expected: string) =>
  (e: unknown): boolean =>
    VeritError.is(e) && e.code === expected

for (const kind of ['gpt', 'bitnet'] as const) {
  test(`a ${kind} that is stopped and resumed ends with the same record and file as one that is not`, async () => {
    const whole = await runIn(`${kind}-whole`, kind)
    assert.equal(whole.state.step, 6)
    assert.equal(whole.record!.record.evaluations.length, 3)

    const stopped = await runIn(`${kind}-parts`, kind, { stopAt: 3 })
    assert.equal(stopped.record, undefined)
    const aborted = new AbortController()
    aborted.abort()
    assert.equal((await runIn(`${kind}-parts`, kind, { resume: true, signal: aborted.signal })).state.step, 3)
    assert.equal((await runIn(`${kind}-parts`, kind, { resume: true, stopAt: 4 })).state.step, 4)
    const resumed = await runIn(`${kind}-parts`, kind, { resume: true })
    assert.deepEqual(resumed.record!.record, whole.record!.record)
    assert.equal(resumed.record!.model.sha256, whole.record!.model.sha256)
    const log = (folder: string): unknown[] =>
      readFileSync(join(root, folder, 'log.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map(line => ({ ...(JSON.parse(line) as object), tokensPerSecond: 0 }))
    assert.deepEqual(log(`${kind}-parts`), log(`${kind}-whole`))
  })

  test(
    `the model file of a ${kind} gives the held-out loss of training to the last bit, however it is ` + 'batched',
    async () => {
      using file = openGguf(join(root, `${kind}-whole`, 'model.gguf'))
      const model = await loadModel(file, referenceExecutor())
      assert.equal(model.config.kind, kind)
      assert.equal(model.tokenizer.digest, tokenizer.digest)
      for (const windows of [1, 3, 64]) {
        using evaluator = new Evaluator(referenceExecutor(), model.config, model.weights, windows)
        const { loss, bitsPerByte, tokens } = await evaluator.evaluate(data.validation, {
          tokens: 40,
          bytesOf: bytesOf(model.tokenizer)
        })
        assert.equal(loss, file.metadata.float('verit.validation_loss'))
        assert.equal(bitsPerByte, file.metadata.float('verit.bits_per_byte'))
        assert.equal(tokens, 42) // whole windows
      }
    }
  )
}

test('a run that was killed before its first checkpoint goes on from its first step, to the same bits', async () => {
  using run = new RunFolder(join(root, 'early'))
  const settings = { data: '/data', name: 'test', saveEvery: 3, keep: 2 }
  const setup = { executor: referenceExecutor(), run, settings, config: models.gpt, options, data, progress: silent }
  // A stop at step 0 leaves the folder as a kill in the first step does, but for the checkpoint.
  await train({ ...setup, resume: false, stopAt: 0 })
  rmSync(run.checkpoints, { recursive: true })
  const resumed = await train({ ...setup, settings: readSettings(run.path), resume: true })
  const whole = JSON.parse(readFileSync(join(root, 'gpt-whole', 'record.json'), 'utf8')) as RecordFile
  assert.deepEqual(resumed.record!.record, whole.record)
  assert.equal(resumed.record!.model.sha256, whole.model.sha256)
  const other = { ...readSettings(run.path).start!, options: { ...options, lr: 1 } }
  rmSync(run.checkpoints, { recursive: true })
  await assert.rejects(train({ ...setup, settings: { ...settings, start: other }, resume: true }), code('VERIT_RESUME'))
})

test('nothing large is written before the first step, and the picture is there at the first evaluation', async () => {
  const seen: string[] = []
  const controller = new AbortController()
  const progress = {
    write: (text: string): void => {
      if (text.startsWith('run ')) seen.push(...readdirSync(join(root, 'watched')))
      if (text.startsWith('step 2: held-out')) controller.abort()
    }
  }
  await runIn('watched', 'gpt', { progress, signal: controller.signal })
  assert.deepEqual(seen.sort(), ['lock', 'log.jsonl', 'run.json'])
  assert.ok(readFileSync(join(root, 'watched', 'loss.svg'), 'utf8').includes('loss (nats per token)'))
})

test('a checkpoint is a model: the last one is that of the end of the run', async () => {
  const folder = join(root, 'sampled')
  const dataset = join(folder, 'data')
  mkdirSync(dataset, { recursive: true })
  writeFileSync(join(dataset, 'tokenizer.json'), tokenizer.toJSON())
  writeFileSync(join(dataset, 'manifest.json'), '{}')
  const own = { ...data, digest: digestBytes('{}') }
  const settings = { data: 'data', name: 'test', saveEvery: 3, keep: 9 }
  const { state } = await runIn('sampled', 'bitnet', { settings, data: own })
  const path = join(folder, 'checkpoints', checkpointName(state.best!.step))
  using checkpoint = Checkpoint.at(path)!
  const out = join(root, 'sampled.gguf')
  await exportCheckpoint(checkpoint, out, referenceExecutor())
  const weightsOf = async (file: string): Promise<Uint8Array> => {
    using gguf = openGguf(file)
    return (await loadModel(gguf, referenceExecutor())).weights.bytes
  }
  assert.deepEqual(await weightsOf(out), await weightsOf(join(folder, 'model.gguf')))
  assert.equal(Checkpoint.at(join(folder, 'model.gguf')), undefined)
  assert.equal(Checkpoint.at(join(folder, 'run.json')), undefined)
})

test('the bar counts to the stop, and from the step that a run is taken up at', async () => {
  const lines: string[] = []
  const clock = performance.now
  let time = 0
  // The bar is drawn every five seconds, so the clock runs faster.
  performance.now = () => (time += 2000)
  try {
    await runIn('counted', 'gpt', { stopAt: 2, progress: { write: text => void lines.push(text) } })
    await runIn('counted', 'gpt', { resume: true, stopAt: 5, progress: { write: text => void lines.push(text) } })
  } finally {
    performance.now = clock
  }
  const bars = lines.filter(line => line.startsWith('train')).map(line => /\d+\/\d+ \d+ %/.exec(line)![0])
  assert.ok(
    bars.some(bar => bar.endsWith('/2 50 %') || bar.endsWith('/2 100 %')),
    bars.join()
  )
  assert.ok(
    bars.some(bar => /^[345]\/5 (60|66|73|80|86|93|100) %/.test(bar)),
    bars.join()
  )
})

test('a folder that no run begins in is removed, with what was prepared in it; what was there before stays', () => {
  const path = join(root, 'a', 'b', 'run')
  for (const before of [undefined, join(root, 'a')]) {
    if (before !== undefined) mkdirSync(before)
    {
      using run = new RunFolder(path)
      mkdirSync(join(run.path, 'data'))
    }
    assert.equal(existsSync(join(root, 'a', 'b')), false)
    assert.equal(existsSync(join(root, 'a')), before !== undefined)
  }
  mkdirSync(join(path, 'data'), { recursive: true })
  new RunFolder(path)[Symbol.dispose]()
  assert.ok(existsSync(join(path, 'data')))
})

test('the newest checkpoints and the best are kept; a damaged one is refused by its digest', async () => {
  const folder = join(root, 'gpt-whole', 'checkpoints')
  const { state } = await runIn('gpt-whole', 'gpt', { resume: true })
  const steps = readdirSync(folder).map(name => Number(/\d+/.exec(name)![0]))
  assert.deepEqual(steps.slice(-1), [6])
  assert.ok(steps.length <= 3 && steps.includes(state.best!.step), steps.join())
  const path = join(folder, 'step-00000006.safetensors')
  const bytes = readFileSync(path)
  bytes[bytes.length - 5]! ^= 1
  writeFileSync(path, bytes)
  await assert.rejects(runIn('gpt-whole', 'gpt', { resume: true }), code('VERIT_CHECKPOINT'))
})

test('a run is not begun twice, nor resumed with other data or options, nor trained in by two at once', async () => {
  await assert.rejects(runIn('bitnet-whole', 'bitnet'), code('VERIT_RUN_EXISTS'))
  await assert.rejects(
    runIn('bitnet-whole', 'bitnet', { resume: true, data: { ...data, digest: `sha256:${'1'.repeat(64)}` } }),
    code('VERIT_RESUME')
  )
  await assert.rejects(
    runIn('bitnet-whole', 'bitnet', { resume: true, options: { ...options, lr: 1 } }),
    code('VERIT_RESUME')
  )
  await assert.rejects(runIn('bitnet-whole', 'gpt', { resume: true }), code('VERIT_RESUME'))
  await assert.rejects(runIn('nothing', 'gpt', { resume: true }), code('VERIT_RESUME'))
  using held = new RunFolder(join(root, 'held'))
  assert.throws(() => new RunFolder(held.path), code('VERIT_RESUME'))
})

test('a run whose loss is no longer a number stops and keeps its last good checkpoint', async () => {
  const wild = parseTrainOptions({
    ...options,
    steps: 300,
    warmup: 0,
    lr: 10,
    lrFloor: 10,
    clip: 0,
    beta2: 0,
    eps: 1e-30,
    weightDecay: 10
  })
  const settings = { data: '/data', name: 'test', saveEvery: 1, keep: 2 }
  await assert.rejects(runIn('wild', 'gpt', { options: wild, settings }), code('VERIT_DIVERGED'))
  assert.ok(readdirSync(join(root, 'wild', 'checkpoints')).length > 0)
})

test('data that does not suit the model is refused', async () => {
  await assert.rejects(
    runIn('short', 'gpt', { data: { ...data, train: tokensInMemory(ids.subarray(0, 7)) } }),
    code('VERIT_MODEL_CONFIG')
  )
  await assert.rejects(runIn('vocab', 'gpt', { config: { ...models.gpt, vocab: 14 } }), code('VERIT_MODEL_CONFIG'))
})

test('options are laid over each other: preset, file, single ones, with what follows from them', () => {
  const none = { model: {}, train: {} }
  const s1 = planRun({ preset: 'shakespeare', ...none }, 65, 1e6)
  assert.deepEqual(
    { ...s1.config, ...s1.options },
    {
      kind: 'gpt',
      layers: 4,
      heads: 4,
      hidden: 128,
      ffn: 512,
      context: 64,
      vocab: 65,
      bias: false,
      dropout: 0,
      schedule: 'cosine',
      steps: 2000,
      warmup: 100,
      lr: 1e-3,
      lrFloor: 1e-4,
      weightDecay: 0.1,
      batch: 12,
      microBatches: 1,
      beta1: 0.9,
      beta2: 0.99,
      eps: 1e-8,
      clip: 1,
      seed: 1,
      evalEvery: 250,
      evalTokens: 0
    }
  )
  const file = { model: { heads: 2 }, train: { lr: 5e-3, seed: 3 } }
  const mixed = planRun({ preset: 'shakespeare', file, model: { hidden: 64 }, train: { seed: 4, steps: 100 } }, 65, 1e6)
  assert.equal(mixed.config.ffn, 256)
  assert.equal(mixed.config.heads, 2)
  assert.deepEqual(
    [mixed.options.lr, mixed.options.lrFloor, mixed.options.seed, mixed.options.warmup],
    [5e-3, 5e-4, 4, 5]
  )
  assert.ok(planRun({ depth: 4, ...none }, 4096, 1e6).options.steps >= 100)
  assert.throws(() => planRun({ preset: 'huge', ...none }, 65, 1e6), code('VERIT_USAGE'))
  assert.throws(() => planRun({ preset: 'small', depth: 2, ...none }, 65, 1e6), code('VERIT_USAGE'))
  assert.throws(() => planRun({ ...none, train: { steps: 0 } }, 65, 1e6), code('VERIT_TRAIN_OPTION'))
  assert.throws(() => planRun({ ...none, train: { stepz: 1 } }, 65, 1e6), code('VERIT_TRAIN_OPTION'))
  assert.equal(modelName(s1.config), 'verit-gpt-804k')
})
