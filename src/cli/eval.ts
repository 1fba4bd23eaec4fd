/** `verit eval`: loss, perplexity and bits per byte of a model file over held-out data or a text. */
import { Command, Option } from 'commander'
import { openDataset } from '../data/dataset.ts'
import type { SplitName } from '../data/split.ts'
import { Evaluator } from '../eval/evaluator.ts'
import type { Evaluation } from '../eval/evaluator.ts'
import { Scorer } from '../eval/scorer.ts'
import { slidingPerplexity } from '../eval/sliding-window.ts'
import { readTextFile } from '../eval/text-source.ts'
import { bytesOf } from '../eval/token-source.ts'
import type { TokenSource } from '../eval/token-source.ts'
import type { Executor } from '../exec/plan.ts'
import { GgufFile } from '../formats/gguf-reader.ts'
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import { VeritError } from '../lib/errors.ts'
import { printableJson } from '../lib/printable.ts'
import { Progress } from '../lib/progress.ts'
import { isDatasetFolder, isFolder } from '../lib/run-files.ts'
import { loadModel } from '../model/load-gguf.ts'
import type { LoadedModel } from '../model/load-gguf.ts'
import { chooseTernaryPacking } from '../weights/ternary-packing.ts'
import { coresOption, executorOf, packingOption, setOption, threadsOption } from './compute-options.ts'
import type { ComputeFlags } from './compute-options.ts'
import { evaluateTasks, taskText } from './eval-tasks.ts'
import { lockCommand } from './lock-command.ts'
import { withByteProgress } from './model-shared.ts'
import { openModelFile } from './open-model-file.ts'
import { numberOption } from './prepare.ts'
import { asTextOption, printNotice, separatorOption } from './text-options.ts'
import type { TextFlags } from './text-options.ts'

interface Flags extends ComputeFlags, TextFlags {
  split: SplitName
  tokens?: number
  stride?: number
  tasks?: string[]
  limit?: number
  json?: true
}

interface Report extends Evaluation {
  model: string
  data: string
  /**
   * Whether this is the measurement of the training run, and gave its loss to the last bit; absent when it is another
   * one.
   */
  reproducesTraining?: boolean
  /** New tokens of each window, where windows overlap. */
  stride?: number
}

export function command(): Command {
  const c = new Command('eval')
    .summary('loss, perplexity and task scores of a model')
    .description(
      'Measures the mean loss per token (nats), perplexity and bits per byte of a model, or scores it on tasks. On ' +
        'the dataset of the training run, the loss equals the held-out loss of training to the last bit. Guide: ' +
        'docs/guide/evaluate.md.'
    )
    .argument('<model>', 'a GGUF file, a training run or one of its checkpoints, or the name of a pulled model')
    .argument('[data]', 'a dataset of verit prepare with the tokenizer of the model, or a UTF-8 text file')
    .option(
      '--tasks <file...>',
      'score tasks in place of data: JSON Lines of HellaSwag, ARC, BLiMP or LAMBADA, or YAML files of lm-eval'
    )
    .option('--limit <n>', 'with --tasks: number of examples of each task (default: all)', numberOption)
    .addOption(
      new Option('--split <split>', 'split of the dataset').choices(['validation', 'train']).default('validation')
    )
    .option(
      '--stride <n>',
      'overlapping windows that move on by this number of tokens, of which only the new ones count',
      numberOption
    )
    .option(
      '--tokens <n>',
      'number of tokens to predict (default: on the dataset of the training run as in training, else all)',
      numberOption
    )
  return packingOption(setOption(coresOption(threadsOption(asTextOption(separatorOption(c))))))
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  verit eval runs/book data/book
  verit eval model.gguf chapter.txt --json | jq .bitsPerByte
  verit eval model.gguf --tasks arc_easy.jsonl hellaswag.jsonl`
    )
    .action(async (path: string, data: string | undefined, flags: Flags) => {
      const { tasks, ...rest } = flags
      if ((tasks === undefined) === (data === undefined))
        throw new VeritError('VERIT_USAGE', {
          problem: tasks === undefined ? 'There is nothing to evaluate on' : 'Data and --tasks are given together',
          hint: 'Give a dataset or a text file, or task files with --tasks'
        })
      if (tasks !== undefined) {
        const report = await evaluateTasks(path, { ...rest, tasks })
        process.stdout.write(flags.json ? `${printableJson(report)}\n` : taskText(report))
        return
      }
      if (data === undefined) return
      const report = await evaluateModel(path, data, flags)
      process.stdout.write(flags.json ? `${JSON.stringify(report)}\n` : render(report))
    })
}

async function evaluateModel(path: string, data: string, flags: Flags): Promise<Report> {
  const executor = executorOf(flags)
  const packing = chooseTernaryPacking(executor, flags.packing)
  using opened = openData(data, flags)
  using source = await openModelFile(path, 'a GGUF model')
  lockCommand()
  const file = new GgufFile(source)
  const model = await withByteProgress('load', onProgress => loadModel(file, executor, { packing, onProgress }))
  const tokenSource = opened.tokensFor(model)
  if (flags.stride !== undefined) return await slide(path, data, executor, model, tokenSource, flags.stride)
  const { digest } = opened
  const trained = digest !== undefined && flags.split === 'validation' ? trainedWith(file.metadata, digest) : undefined
  using evaluator = new Evaluator(executor, model.config, model.weights)
  const tokens = flags.tokens ?? trained?.tokens ?? 0
  const progress = new Progress({ label: 'evaluate', total: tokens || tokenSource.length - 1 })
  try {
    const onProgress = (done: number): void => progress.update(done)
    const result = await evaluator.evaluate(tokenSource, {
      tokens,
      bytesOf: bytesOf(model.tokenizer),
      name: data,
      onProgress
    })
    const same = trained !== undefined && result.tokens === trained.tokens
    return { model: path, data, ...result, ...(same && { reproducesTraining: result.loss === trained.loss }) }
  } finally {
    progress.clear()
  }
}

async function slide(
  path: string,
  data: string,
  executor: Executor,
  { config, weights }: LoadedModel,
  source: TokenSource,
  stride: number
): Promise<Report> {
  const { context } = config
  if (stride < 1 || stride > context)
    throw new VeritError('VERIT_USAGE', {
      problem: `--stride is ${stride}, and the context of the model has ${context} tokens`,
      hint: `Give a number from 1 to ${context}`
    })
  if (source.length < 3)
    throw new VeritError('VERIT_EVAL_DATA', {
      source: data,
      problem: `it has ${source.length} tokens, and overlapping windows need at least 3`,
      fix: 'Give a longer text'
    })
  using scorer = new Scorer(executor, config, weights, false)
  const progress = new Progress({ label: 'evaluate', total: Math.ceil(source.length / stride) })
  const onProgress = (done: number): void => progress.update(done)
  const result = await slidingPerplexity(scorer, source, { context, stride, onProgress }).finally(() =>
    progress.clear()
  )
  return { model: path, data, ...result, stride }
}

/** Data whose files are open: the process is locked before the model is read. */
interface OpenData extends Disposable {
  /** Digest of the dataset; absent for a text file. */
  readonly digest?: string
  /** @throws VeritError VERIT_EVAL_DATA for a dataset of another tokenizer */
  readonly tokensFor: (model: LoadedModel) => TokenSource
}

function openData(path: string, { split, asText, separator }: Flags): OpenData {
  if (!isFolder(path)) {
    const encode = readTextFile(path, { asText, separator, onNotice: printNotice })
    return { tokensFor: ({ tokenizer }) => encode(tokenizer), [Symbol.dispose]: () => undefined }
  }
  if (!isDatasetFolder(path)) {
    const fix = 'Name a text file, or a dataset made by verit prepare'
    throw new VeritError('VERIT_EVAL_DATA', { source: path, problem: 'it is a folder, but not a dataset', fix })
  }
  const dataset = openDataset(path)
  const { digest, manifest } = dataset
  const tokens = dataset.split(split)
  tokens.hold()
  const tokensFor = ({ tokenizer }: LoadedModel): TokenSource => {
    if (manifest.tokenizer.sha256 === tokenizer.digest) return tokens
    const fix =
      "Give the dataset of the model's training run, or prepare the text anew with the model's tokenizer " +
      '(verit prepare --tokenizer FILE takes the tokenizer.json of that dataset), or give the text file itself'
    throw new VeritError('VERIT_EVAL_DATA', { source: path, problem: 'its tokenizer is not that of the model', fix })
  }
  return { digest, tokensFor, [Symbol.dispose]: () => dataset.close() }
}

/** The measurement that the model file carries, if it was taken on this dataset. */
function trainedWith(m: GgufMetadata, dataset: string): { loss: number; tokens: number } | undefined {
  if (m.string('verit.dataset', '') !== dataset || !m.has('verit.validation_loss')) return undefined
  return { loss: m.float('verit.validation_loss'), tokens: m.uint('verit.validation_tokens') }
}

function render({ data, loss, perplexity, bitsPerByte, tokens, reproducesTraining }: Report): string {
  const note =
    reproducesTraining === undefined
      ? ''
      : reproducesTraining
        ? 'training       the same loss as at the end of training, to the last bit\n'
        : 'training       NOT the loss that the model file says it had at the end of training\n'
  return `${data}: ${tokens.toLocaleString('en-US')} tokens
loss           ${loss.toFixed(6)} nats a token
perplexity     ${perplexity.toFixed(4)}
${bitsPerByte === undefined ? '' : `bits per byte  ${bitsPerByte.toFixed(6)}\n`}${note}`
}
