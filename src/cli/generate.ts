/** `verit generate`: continues a text, streamed or as one JSON object. */
import { Command } from 'commander'
import type { EndReason, Engine, GenerateRequest } from '../engine/engine.ts'
import { VeritError } from '../lib/errors.ts'
import { printableJson } from '../lib/printable.ts'
import { isRunFolder } from '../lib/run-files.ts'
import { forTerminal } from './for-terminal.ts'
import { interruptible } from './interruption.ts'
import { modelOptions, openModel, requestOption, samplingOf, samplingOptions } from './open-model.ts'
import type { ModelFlags, SamplingFlags } from './open-model.ts'
import { readStandardText } from './standard-text.ts'

interface Flags extends ModelFlags, SamplingFlags {
  prompt?: string
  echo?: true
  ignoreEndOfText?: true
  logprobs?: number
  json?: true
}

export function command(): Command {
  const c = new Command('generate')
    .summary('continue a text')
    .description(
      'Continues a text. The same model, prompt, options and seed give the same text on every machine. Guide: ' +
        'docs/guide/generate.md.'
    )
    .argument(
      '[model]',
      'a .gguf file, a training run or one of its checkpoints, or the name of a pulled model ' +
        '(default: the model that comes with Verit)'
    )
    .argument('[prompt]', 'text to continue; - or none: standard input')
  samplingOptions(c)
    .option('-p, --prompt <text>', 'the prompt, if it could be mistaken for a file or an option')
    .option('--echo', 'print the prompt first')
    .option('--ignore-end-of-text', 'continue after an end token')
    .option(
      '--logprobs <n>',
      'with --json: log probability of each token and of the n most probable tokens, 0 to 20',
      requestOption('logprobs')
    )
    .option('--json', 'print one JSON object at the end')
  return modelOptions(c)
    .addHelpText(
      'after',
      `
Examples:
  verit generate "The state of the union is"
  verit generate model.gguf "Once upon a time" --seed 7 --max-tokens 200
  verit generate model.gguf "Question: why?" --end-token "<|eot_id|>" --stop "Question:"
  verit generate runs/book "It was"                    (its newest checkpoint while it is being trained)
  echo -n "def main" | verit generate model.gguf --temperature 0 --json`
    )
    .action(run)
}

async function run(first: string | undefined, second: string | undefined, flags: Flags): Promise<void> {
  if (flags.logprobs !== undefined && flags.json !== true) {
    throw new VeritError('VERIT_USAGE', {
      problem: '--logprobs needs --json',
      hint: 'Add --json'
    })
  }
  const named = second !== undefined || flags.prompt !== undefined || (first !== undefined && isModelPath(first))
  const [model, given] = named ? [first, flags.prompt ?? second] : [undefined, first]
  const prompt = given === undefined || (given === '-' && flags.prompt === undefined) ? readInput() : given
  await using engine = await openModel(model, flags, { slots: 1 })
  const request: GenerateRequest = {
    ...samplingOf(flags),
    prompt,
    echo: flags.echo ?? false,
    ignoreEndOfText: flags.ignoreEndOfText ?? false,
    logprobs: flags.logprobs
  }
  const abort = new AbortController()
  await interruptible(
    () => abort.abort(),
    () => (flags.json ? asJson : asText)(engine, request, abort.signal)
  )
}

/** Whether a lone argument is a model rather than a prompt. */
const isModelPath = (text: string): boolean => /\.(gguf|safetensors)$/.test(text) || isRunFolder(text)

/** Whether a text ended because the context has room for no more. */
const isFull = (engine: Engine, e: { reason: EndReason; promptTokens: number; completionTokens: number }): boolean =>
  e.reason === 'length' && e.promptTokens + e.completionTokens >= engine.info.context

async function asText(engine: Engine, request: GenerateRequest, signal: AbortSignal): Promise<void> {
  let seed = 0
  for await (const event of engine.generate(request, signal)) {
    if (event.type === 'start') seed = event.seed
    else if (event.type === 'token') process.stdout.write(forTerminal(event.text))
    else {
      process.stdout.write('\n')
      if (process.stderr.isTTY) {
        const rate = event.completionTokens > 1 ? (1000 * (event.completionTokens - 1)) / event.timings.predictedMs : 0
        // Nothing is drawn at temperature 0.
        const again = request.temperature === 0 ? '' : `, --seed ${seed}`
        const tokens = `${event.completionTokens} tokens, ${rate.toFixed(0)} tokens/s`
        process.stderr.write(`(${tokens}, ${event.reason}${again})\n`)
      } else if (request.seed === undefined && request.temperature !== 0) {
        process.stderr.write(`(--seed ${seed} repeats this)\n`)
      }
      if (isFull(engine, event)) {
        process.stderr.write(`The text ends because the context of ${engine.info.context} tokens is full.\n`)
      }
      if (event.reason === 'cancelled') process.exitCode = 130
    }
  }
}

async function asJson(engine: Engine, request: GenerateRequest, signal: AbortSignal): Promise<void> {
  let seed = 0
  let text = ''
  const tokens: object[] = []
  for await (const event of engine.generate(request, signal)) {
    if (event.type === 'start') seed = event.seed
    else if (event.type === 'token') {
      text += event.text
      const { type: _, text: piece, ...rest } = event
      tokens.push({ ...rest, text: piece })
    } else {
      const { reason, promptTokens, completionTokens, timings } = event
      const contextFull = isFull(engine, event)
      const { name, digest, executor, threads } = engine.info
      const details = request.logprobs === undefined ? {} : { tokens }
      const model = { name, digest, executor, threads }
      const report = { text, reason, contextFull, seed, promptTokens, completionTokens, timings, model, ...details }
      process.stdout.write(`${printableJson(report)}\n`)
      if (reason === 'cancelled') process.exitCode = 130
    }
  }
}

function readInput(): string {
  if (process.stdin.isTTY) {
    throw new VeritError('VERIT_USAGE', {
      problem: 'There is no prompt',
      hint: 'Give a text: verit generate "Once upon a time", or pipe one in'
    })
  }
  return readStandardText()
}
