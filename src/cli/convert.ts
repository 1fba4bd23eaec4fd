/** `verit convert`: a model in other types, as GGUF. */
import { Command, Option } from 'commander'
import { existsSync, statSync } from 'node:fs'
import { extname, join } from 'node:path'
import { checkTemplate } from '../engine/check-chat.ts'
import { GgufFile } from '../formats/gguf-reader.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import { openRegular } from '../lib/regular-file.ts'
import { isRunFolder } from '../lib/run-files.ts'
import { convertModel } from '../model/convert.ts'
import type { Conversion } from '../model/convert.ts'
import type { PrecisionLoss, TensorReport } from '../model/encode-tensors.ts'
import { ggufClaims } from '../model/gguf-conversation.ts'
import { PRETOKENIZER, readTokenizer, tokenizerEntries } from '../model/gguf-tokenizer.ts'
import { HfSource, refusePickle } from '../model/hf-source.ts'
import type { FolderTokenizer } from '../model/hf-source.ts'
import { ggufSource } from '../model/model-source.ts'
import type { ModelSource } from '../model/model-source.ts'
import { isTernaryModel } from '../model/parameters.ts'
import { encodedTypes, ternaryTypeNames } from '../weights/registry.ts'
import { mixNames } from '../weights/type-mix.ts'
import { loadTokenizer } from '../tokenizer/load-tokenizer.ts'
import { processors } from '../exec/processors.ts'
import { threadsOption } from './compute-options.ts'
import { columns } from './columns.ts'
import { conversationLines } from './conversation-text.ts'
import { chatTemplateOption, endTokenOption, overridesOf } from './conversation-options.ts'
import type { ConversationFlags } from './conversation-options.ts'
import { checkTokenizerKind, formatOf } from './file-format.ts'
import { interruptible } from './interruption.ts'
import { checkOutput } from './model-shared.ts'
import { openModelFile } from './open-model-file.ts'

const lower = <T extends string>(types: readonly T[]): Lowercase<T>[] =>
  types.map(type => type.toLowerCase() as Lowercase<T>)

const TYPES = lower(encodedTypes)
const TERNARY = lower(ternaryTypeNames)
const MIXES = lower(mixNames)

interface Flags extends ConversationFlags {
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
    .summary('write a model as GGUF with other weight formats or chat settings')
    .description(
      'Writes a model as GGUF. Reads GGUF files and Hugging Face folders with a BitNet model (config.json, ' +
        '*.safetensors). Keeps weight formats unless an option names another. Writes the chat template, begin and ' +
        'end tokens found in all files of the model. Reports lost precision and omitted data. Details: ' +
        'docs/internals/formats.md.'
    )
    .argument('<model>', 'a .gguf file, the name of a pulled model, or a folder')
    .argument('<output>', 'GGUF file to write; its name must end in .gguf')
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
  verit convert bitnet-2b.gguf smaller.gguf --ternary tq1_0 --head q6_k
  verit convert runs/book/model.gguf book-q8.gguf --head q8_0 --matrices q8_0
  verit convert runs/book/model.gguf book-llama.gguf --for llama.cpp
  verit convert bitnet-hf/ model.gguf --tokenizer other.gguf --force
  verit convert model.gguf chat.gguf --chat-template chat.jinja --end-token "<|eot_id|>"`
    )
    .action(run)
}

async function run(model: string, output: string, flags: Flags): Promise<void> {
  checkName(output)
  checkOutput(output, model, flags.force === true, 'Give the output another name')
  const overrides = overridesOf(flags)
  const folder = existsSync(model) && statSync(model).isDirectory() && !isRunFolder(model)
  if (flags.tokenizer !== undefined && !folder)
    throw new VeritError('VERIT_USAGE', {
      problem: '--tokenizer is for folders',
      hint: 'A GGUF file has its tokenizer: leave the option out'
    })
  if (folder) {
    refusePickle(model)
    if (!existsSync(join(model, 'config.json'))) {
      throw new VeritError('VERIT_USAGE', {
        problem: `${model} is not a Hugging Face model folder: it has no config.json`,
        hint: 'Name one, or a .gguf file'
      })
    }
    using source = new HfSource(model, folderTokenizer(model, flags.tokenizer), overrides)
    return await write(source, output, flags)
  }
  using file = await openModelFile(model, 'the model to convert')
  await write(ggufSource(new GgufFile(file), overrides), output, flags)
}

/** A name with another format's ending would hide the format. @throws VeritError VERIT_USAGE */
function checkName(output: string): void {
  if (/\.gguf$/i.test(output)) return
  const ending = extname(output)
  const asked = ending === '' ? 'a name without an ending' : `a name that ends in ${printable(ending)}`
  const name = ending === '' ? output : output.slice(0, -ending.length)
  throw new VeritError('VERIT_USAGE', {
    problem: `verit convert writes GGUF, and ${printable(output)} is ${asked}`,
    hint: `Give the output a name that ends in .gguf, such as ${printable(name)}.gguf`
  })
}

async function write(source: ModelSource, output: string, flags: Flags): Promise<void> {
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
  let progress: Progress | undefined
  const stop = new AbortController()
  const interrupt = (): void =>
    stop.abort(
      new VeritError('VERIT_INTERRUPTED', {
        saved: 'nothing was written',
        resume: 'Run the same command again to start over'
      })
    )
  const result = await interruptible(interrupt, () =>
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
      onProgress: (done, total) => (progress ??= new Progress({ label: 'convert', total })).update(done),
      signal: stop.signal
    })
  ).finally(() => progress?.clear())
  process.stdout.write(
    flags.json
      ? `${printableJson({ output, ...result })}\n`
      : described(output, result, {
          always: source instanceof HfSource || flags.endToken.length > 0,
          errors: flags.errors === true
        })
  )
}

const upper = <T extends string>(type: T | undefined): Uppercase<T> | undefined =>
  type?.toUpperCase() as Uppercase<T> | undefined

interface Shown {
  /** Whether conversation settings are shown for every model. */
  readonly always: boolean
  /** Whether the error of every tensor is listed. */
  readonly errors: boolean
}

function described(output: string, result: Conversion, { always, errors }: Shown): string {
  const { bytes, tensors, architecture, losses, reports, conversation, latent, notes } = result
  // A model that is not for conversations has nothing to report here.
  const chats = always || conversation.template !== undefined || conversation.warnings.length > 0
  const exact = latent ? 'No precision was lost in what the model computes.' : 'No precision was lost.'
  return [
    `${printable(output)}: ${architecture}, ${tensors} tensors, ${formatBytes(bytes)}\n`,
    errors ? errorTable(reports) : '',
    losses.length === 0 ? `${exact}\n` : `Precision lost:\n${losses.map(lossLine).join('')}`,
    ...notes.map(note => `Note: ${note}.\n`),
    chats ? conversationLines(conversation) : ''
  ].join('')
}

/** One row per tensor: its formats and its relative error. */
function errorTable(reports: readonly TensorReport[]): string {
  const rows = reports.map(({ name, from, to, relative }) => [
    name,
    from === to ? to : `${from} to ${to}`,
    relative === 0 ? 'exact' : `${(100 * relative).toPrecision(3)} %`
  ])
  return `${columns([['tensor', 'format', 'root mean square error'], ...rows])}\n`
}

function lossLine({ tensors, from, to, relative }: PrecisionLoss): string {
  const measure = to === 'F16' && tensors.startsWith('scales') ? 'at most' : 'root mean square'
  return `  ${tensors}: ${from} to ${to}, ${(100 * relative).toPrecision(2)} % ${measure}\n`
}

/**
 * The tokenizer of a folder.
 * @throws VeritError VERIT_FILE_NOT_FOUND, VERIT_TOKENIZER_FILE, VERIT_USAGE for another kind of file
 */
function folderTokenizer(folder: string, named: string | undefined): FolderTokenizer {
  const path = named ?? join(folder, 'tokenizer.json')
  if (named === undefined && !existsSync(path)) {
    throw new VeritError('VERIT_USAGE', {
      problem: `${folder} has no tokenizer.json`,
      hint: 'Name one, or a .gguf file with the same tokenizer, with --tokenizer'
    })
  }
  using source = openRegular(path, 'the tokenizer')
  const format = formatOf(source)
  checkTokenizerKind(source, format)
  if (format === 'gguf') {
    const { metadata } = new GgufFile(source)
    const tokenizer = readTokenizer(path, metadata)
    return {
      entries: [...metadata.entries].filter(([key]) => key.startsWith('tokenizer.') || key === PRETOKENIZER),
      tokenizer,
      claims: ggufClaims(metadata, tokenizer)
    }
  }
  if (format === 'tokenizer.json') {
    const tokenizer = loadTokenizer(path)
    return { entries: tokenizerEntries(tokenizer), tokenizer }
  }
  throw new VeritError('VERIT_USAGE', {
    problem: `${path} is a ${format}`,
    hint: 'Give a tokenizer.json or a .gguf file'
  })
}
