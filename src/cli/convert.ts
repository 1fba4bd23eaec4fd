/** `verit convert`: a model in other types, as GGUF. */
import { Command, Option } from 'commander'
import { existsSync, realpathSync } from 'node:fs'
import { extname, isAbsolute, relative } from 'node:path'
import { checkTemplate } from '../engine/check-chat.ts'
import { processors } from '../exec/processors.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress } from '../lib/progress.ts'
import { convertModel } from '../model/convert.ts'
import { exportHf, hfTypes } from '../model/export-hf.ts'
import type { HfType } from '../model/export-hf.ts'
import { exportOnnx } from '../model/export-onnx.ts'
import type { ModelSource } from '../model/model-source.ts'
import { isTernaryModel } from '../model/parameters.ts'
import { encodedTypes, ternaryTypeNames } from '../weights/registry.ts'
import { mixNames } from '../weights/type-mix.ts'
import { threadsOption } from './compute-options.ts'
import { chatTemplateOption, endTokenOption, overridesOf } from './conversation-options.ts'
import type { ConversationFlags } from './conversation-options.ts'
import { openSource } from './convert-source.ts'
import type { OpenSource } from './convert-source.ts'
import { fileText, folderText, onnxText } from './convert-text.ts'
import { interruptible } from './interruption.ts'
import { checkOutput } from './model-shared.ts'

const lower = <T extends string>(types: readonly T[]): Lowercase<T>[] =>
  types.map(type => type.toLowerCase() as Lowercase<T>)

const TYPES = lower(encodedTypes)
const TERNARY = lower(ternaryTypeNames)
const MIXES = lower(mixNames)

const FORMATS = ['gguf', 'hf', 'onnx'] as const

type Format = (typeof FORMATS)[number]

interface Flags extends ConversationFlags {
  to?: Format
  for?: 'llama.cpp'
  type?: (typeof MIXES)[number]
  ternary?: (typeof TERNARY)[number]
  head?: (typeof TYPES)[number]
  matrices?: (typeof TYPES)[number]
  tokenizer?: string
  threads?: number
  errors?: true
  force?: true
  json?: true
}

export function command(): Command {
  const c = new Command('convert')
    .summary('convert and quantise models: GGUF, Hugging Face, PyTorch, ONNX')
    .description(
      'Writes a model in another form: GGUF, a folder for transformers, or a folder for ONNX Runtime GenAI. Reads ' +
        'GGUF files, training runs, Hugging Face folders and PyTorch checkpoints. Keeps weight formats unless an ' +
        'option names others. Tokenizer, chat template, begin and end tokens go along. Reports lost precision and ' +
        'omitted data. Guide: docs/guide/convert.md.'
    )
    .argument('<model>', 'a .gguf or .pt file, a training run, the name of a pulled model, or a folder')
    .argument('<output>', 'GGUF file to write, whose name ends in .gguf, or with --to a folder')
    .addOption(
      new Option(
        '--to <format>',
        'gguf; hf: a folder for transformers; onnx: a folder for ONNX Runtime GenAI (default: gguf)'
      ).choices(FORMATS)
    )
    .addOption(
      new Option(
        '--type <mix>',
        'weight formats of all matrices, chosen for each tensor as in published files of this name (default: unchanged)'
      ).choices(MIXES)
    )
    .addOption(
      new Option(
        '-t, --ternary <type>',
        'weight format of ternary matrices (default: i2_s, which keeps their scales exactly)'
      ).choices(TERNARY)
    )
    .addOption(
      new Option(
        '--head <type>',
        'weight format of the token embedding and output head (default: as --type says)'
      ).choices(TYPES)
    )
    .addOption(
      new Option('--matrices <type>', 'weight format of the linear layers (default: as --type says)').choices(TYPES)
    )
    .addOption(
      new Option('--for <program>', 'write only what releases of this program can read, or refuse').choices([
        'llama.cpp'
      ])
    )
    .option(
      '--tokenizer <file>',
      'for a folder: tokenizer.json or .gguf with the tokenizer (default: tokenizer.json in the folder)'
    )
  return endTokenOption(chatTemplateOption(threadsOption(c), 'write this chat template into the file'))
    .option('--errors', 'list the error of every tensor')
    .option('--force', 'replace the output if it exists')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  verit convert llama-folder/ llama-q4.gguf --type q4_k_m
  verit convert runs/book book-folder --to hf
  verit convert model.gguf onnx-folder --to onnx
  verit convert ckpt.pt model.gguf --tokenizer tokenizer.json
  verit convert bitnet-2b.gguf smaller.gguf --ternary tq1_0 --head q6_k
  verit convert runs/book/model.gguf book-q8.gguf --head q8_0 --matrices q8_0
  verit convert runs/book/model.gguf book-llama.gguf --for llama.cpp
  verit convert bitnet-hf/ model.gguf --tokenizer other.gguf --force
  verit convert model.gguf chat.gguf --chat-template chat.jinja --end-token "<|eot_id|>"`
    )
    .action(run)
}

async function run(model: string, output: string, flags: Flags): Promise<void> {
  const to = formatOfOutput(output, flags.to)
  checkFlags(to, flags)
  if (to === 'gguf') checkOutput(output, model, flags.force === true, 'Give the output another name')
  else checkFolder(output, model)
  using open = await openSource(model, flags.tokenizer, overridesOf(flags))
  if (to === 'hf') await writeFolder(open.source, output, flags)
  else if (to === 'onnx') await writeOnnx(open.source, output, flags)
  else await writeFile(open, output, flags)
}

/** The format to write: the one that is named, or that the output's name ends in. @throws VeritError VERIT_USAGE */
function formatOfOutput(output: string, to: Format | undefined): Format {
  const gguf = /\.gguf$/i.test(output)
  if (to !== undefined && to !== 'gguf' && gguf)
    throw new VeritError('VERIT_USAGE', {
      problem: `--to ${to} writes a folder, and ${printable(output)} is the name of a GGUF file`,
      hint: 'Give the output the name of a folder'
    })
  if (gguf || (to !== undefined && to !== 'gguf')) return to ?? 'gguf'
  const ending = extname(output)
  const asked = ending === '' ? 'a name without an ending' : `a name that ends in ${printable(ending)}`
  const name = ending === '' ? output : output.slice(0, -ending.length)
  throw new VeritError('VERIT_USAGE', {
    problem: `verit convert writes GGUF unless --to says otherwise, and ${printable(output)} is ${asked}`,
    hint: `Give the output a name that ends in .gguf, such as ${printable(name)}.gguf, or write a folder with --to hf`
  })
}

/** A folder that is replaced must not hold the model. @throws VeritError VERIT_USAGE */
function checkFolder(output: string, model: string): void {
  if (!existsSync(output) || !existsSync(model)) return
  const inside = relative(realpathSync(output), realpathSync(model))
  if (inside.startsWith('..') || isAbsolute(inside)) return
  throw new VeritError('VERIT_USAGE', {
    problem: `${printable(output)} ${inside === '' ? 'is the model itself' : 'holds the model'}`,
    hint: 'Give the output another name'
  })
}

/** Options of GGUF that a folder does not have. @throws VeritError VERIT_USAGE */
function checkFlags(to: Format, flags: Flags): void {
  if (to === 'gguf') return
  for (const name of ['ternary', 'head', 'matrices', 'for', 'errors'] as const) {
    if (flags[name] === undefined) continue
    throw new VeritError('VERIT_USAGE', { problem: `--${name} is for GGUF files`, hint: `Leave --${name} out` })
  }
  if (to === 'onnx' && flags.type !== undefined && flags.type !== 'f32')
    throw new VeritError('VERIT_USAGE', {
      problem: 'Verit writes the weights of ONNX models as f32',
      hint: 'Leave --type out'
    })
  if (flags.type !== undefined && !Object.hasOwn(hfTypes, flags.type.toUpperCase()))
    throw new VeritError('VERIT_USAGE', {
      problem: `A folder of transformers has no weights of type ${flags.type}`,
      hint: 'Choose among f32, f16 and bf16, or leave --type out'
    })
}

async function writeFile({ source, folder }: OpenSource, output: string, flags: Flags): Promise<void> {
  const { template } = source.conversation
  if (flags.chatTemplate !== undefined && template !== undefined) checkTemplate(template, source.conversation)
  if (flags.ternary !== undefined && !isTernaryModel(source.config)) {
    throw new VeritError('VERIT_USAGE', {
      problem: `${source.name} is a ${source.config.kind} model: it has no ternary matrices`,
      hint: 'Leave --ternary out'
    })
  }
  if (flags.matrices !== undefined && isTernaryModel(source.config)) {
    throw new VeritError('VERIT_USAGE', {
      problem: `${source.name} is a ${source.config.kind} model: its matrices are ternary`,
      hint: 'Use --ternary in place of --matrices'
    })
  }
  if (flags.type !== undefined && isTernaryModel(source.config)) {
    throw new VeritError('VERIT_USAGE', {
      problem: `${source.name} is a ${source.config.kind} model: its matrices are ternary`,
      hint: 'Use --ternary and --head in place of --type'
    })
  }
  const result = await withProgress((onProgress, signal) =>
    convertModel(source, output, {
      ...defined({
        for: flags.for,
        mix: upper(flags.type),
        ternary: upper(flags.ternary),
        head: upper(flags.head),
        matrices: upper(flags.matrices)
      }),
      threads: flags.threads || processors().threads,
      overwrite: flags.force === true,
      onProgress,
      signal
    })
  )
  process.stdout.write(
    flags.json
      ? `${printableJson({ output, ...result })}\n`
      : fileText(output, result, {
          always: folder || flags.endToken.length > 0,
          errors: flags.errors === true
        })
  )
}

async function writeFolder(source: ModelSource, output: string, flags: Flags): Promise<void> {
  const result = await withProgress((onProgress, signal) =>
    exportHf(source, output, {
      ...defined({ type: upper(flags.type) as HfType | undefined }),
      overwrite: flags.force === true,
      onProgress,
      signal
    })
  )
  process.stdout.write(flags.json ? `${printableJson({ output, ...result })}\n` : folderText(output, result, source))
}

async function writeOnnx(source: ModelSource, output: string, flags: Flags): Promise<void> {
  const result = await withProgress((onProgress, signal) =>
    exportOnnx(source, output, { overwrite: flags.force === true, onProgress, signal })
  )
  process.stdout.write(flags.json ? `${printableJson({ output, ...result })}\n` : onnxText(output, result))
}

/** Runs a conversion with progress on standard error; an interruption leaves nothing. */
async function withProgress<T>(
  work: (onProgress: (done: number, of: number) => void, signal: AbortSignal) => Promise<T>
): Promise<T> {
  let progress: Progress | undefined
  const stop = new AbortController()
  const interrupt = (): void =>
    stop.abort(
      new VeritError('VERIT_INTERRUPTED', {
        saved: 'nothing was written',
        resume: 'Run the same command again to start over'
      })
    )
  const onProgress = (done: number, total: number): void =>
    (progress ??= new Progress({ label: 'convert', total })).update(done)
  return await interruptible(interrupt, () => work(onProgress, stop.signal)).finally(() => progress?.clear())
}

const upper = <T extends string>(type: T | undefined): Uppercase<T> | undefined =>
  type?.toUpperCase() as Uppercase<T> | undefined
