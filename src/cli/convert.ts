/** `verit convert`: a model in other types, as GGUF. */
import { Command, Option } from 'commander'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { GgufFile } from '../formats/gguf-reader.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import { openRegular } from '../lib/regular-file.ts'
import { isRunFolder } from '../lib/run-files.ts'
import { convertModel } from '../model/convert.ts'
import type { Conversion, HeadType } from '../model/convert.ts'
import { tokenizerEntries } from '../model/gguf-tokenizer.ts'
import { HfSource } from '../model/hf-source.ts'
import { ggufSource } from '../model/model-source.ts'
import type { ModelSource } from '../model/model-source.ts'
import { loadTokenizer } from '../tokenizer/load-tokenizer.ts'
import { formatOf } from './file-format.ts'
import { interruptible } from './interruption.ts'
import { checkOutput } from './model-shared.ts'
import { openModelFile } from './open-model-file.ts'

interface Flags {
  ternary?: 'i2_s' | 'tq1_0' | 'tq2_0'
  head?: 'f32' | 'f16' | 'q8_0' | 'q6_k'
  tokenizer?: string
  force?: true
  json?: true
}

export function command(): Command {
  return new Command('convert')
    .summary('write a model with other types of weights')
    .description('Writes a model as GGUF with other types of weights: ternary matrices as I2_S, TQ1_0 or TQ2_0; the token embedding and the head as F32, F16, Q8_0 or Q6_K. '
      + 'Reads GGUF files and folders of Hugging Face with a BitNet model (config.json, *.safetensors). Says what precision was lost.')
    .argument('<model>', 'a .gguf file, the name of a pulled model, or a folder')
    .argument('<output>', 'the .gguf file to write')
    .addOption(new Option('-t, --ternary <type>', 'of ternary matrices (default: i2_s, which keeps their scales to the bit)').choices(['i2_s', 'tq1_0', 'tq2_0']))
    .addOption(new Option('--head <type>', 'of the embedding and the head (default: as they are)').choices(['f32', 'f16', 'q8_0', 'q6_k']))
    .option('--tokenizer <file>', 'for a folder: a tokenizer.json, or a .gguf file to take it from (default: tokenizer.json in the folder)')
    .option('--force', 'replace the output if it is there')
    .option('--json', 'print one JSON object')
    .addHelpText('after', `
Examples:
  verit convert bitnet-2b.gguf smaller.gguf --ternary tq1_0 --head q6_k
  verit convert bitnet-hf/ model.gguf --head q8_0
  verit convert bitnet-hf/ model.gguf --tokenizer other.gguf --force`)
    .action(run)
}

async function run(model: string, output: string, flags: Flags): Promise<void> {
  checkOutput(output, model, flags.force === true, 'Give the output another name')
  const folder = existsSync(model) && statSync(model).isDirectory() && !isRunFolder(model)
  if (flags.tokenizer !== undefined && !folder) throw new VeritError('VERIT_USAGE', { problem: '--tokenizer is for folders', hint: 'A GGUF file has its tokenizer: leave the option out' })
  if (folder) {
    if (!existsSync(join(model, 'config.json'))) {
      throw new VeritError('VERIT_USAGE', { problem: `${model} has no config.json: it is no folder of a Hugging Face model`, hint: 'Name one, or a .gguf file' })
    }
    using source = new HfSource(model, folderTokenizer(model, flags.tokenizer))
    return await write(source, output, flags)
  }
  using file = await openModelFile(model, 'the model to convert')
  await write(ggufSource(new GgufFile(file)), output, flags)
}

async function write(source: ModelSource, output: string, flags: Flags): Promise<void> {
  if (flags.ternary !== undefined && source.config.kind !== 'bitnet') {
    throw new VeritError('VERIT_USAGE', { problem: `${source.name} is a ${source.config.kind} model: it has no ternary matrices`, hint: 'Leave --ternary out' })
  }
  let progress: Progress | undefined
  const stop = new AbortController()
  const interrupt = (): void => stop.abort(new VeritError('VERIT_INTERRUPTED', { saved: 'nothing was written', resume: 'Run the same command again to start over' }))
  const result = await interruptible(interrupt, () => convertModel(source, output, {
    ...(flags.ternary !== undefined && { ternary: flags.ternary.toUpperCase() as 'I2_S' }), ...(flags.head !== undefined && { head: flags.head.toUpperCase() as HeadType }), overwrite: flags.force === true,
    onProgress: (done, total) => (progress ??= new Progress({ label: 'convert', total })).update(done), signal: stop.signal,
  })).finally(() => progress?.clear())
  process.stdout.write(flags.json ? `${printableJson({ output, ...result })}\n` : described(output, result))
}

function described(output: string, { bytes, tensors, architecture, losses }: Conversion): string {
  const percent = (x: number): string => `${(100 * x).toPrecision(2)} %`
  const lost = losses.map(({ tensors, from, to, relative }) => `  ${tensors}: ${from} to ${to}, ${percent(relative)} ${to === 'F16' && tensors.startsWith('scales') ? 'at most' : 'root mean square'}\n`)
  return `${printable(output)}: ${architecture}, ${tensors} tensors, ${formatBytes(bytes)}\n${lost.length === 0 ? 'No precision was lost.\n' : `Precision lost:\n${lost.join('')}`}`
}

/** Metadata of the tokenizer of a folder. @throws VeritError VERIT_FILE_NOT_FOUND, VERIT_TOKENIZER_FILE, VERIT_USAGE for another kind of file */
function folderTokenizer(folder: string, named: string | undefined): (readonly [string, GgufValue])[] {
  const path = named ?? join(folder, 'tokenizer.json')
  if (named === undefined && !existsSync(path)) {
    throw new VeritError('VERIT_USAGE', { problem: `${folder} has no tokenizer.json`, hint: 'Name one, or a .gguf file with the same tokenizer, with --tokenizer' })
  }
  using source = openRegular(path, 'the tokenizer')
  const format = formatOf(source)
  if (format === 'gguf') return [...new GgufFile(source).metadata.entries].filter(([key]) => key.startsWith('tokenizer.'))
  if (format === 'tokenizer.json') return tokenizerEntries(loadTokenizer(path))
  throw new VeritError('VERIT_USAGE', { problem: `${path} is a ${format}`, hint: 'Give a tokenizer.json or a .gguf file' })
}
