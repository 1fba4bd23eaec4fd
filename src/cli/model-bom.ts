/** `verit model bom`: the bill of materials of a model file. */
import { Command } from 'commander'
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { GgufFile } from '../formats/gguf-reader.ts'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import { openRegular } from '../lib/regular-file.ts'
import { modelBom } from '../model/model-bom.ts'
import type { Origin } from '../model/model-bom.ts'
import { digestBytes, digestDescriptor } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'
import { checkOutput } from './model-shared.ts'

const MAX_RECORD_BYTES = 16 << 20

/** The fields of a training record (src/train/record.ts) that the bill repeats. */
const digest = Type.String({ pattern: '^sha256:[0-9a-f]{64}$' })
const Record = Type.Object({
  record: Type.Object({
    dataset: Type.Object({ manifest: digest, tokenizer: digest, trainTokens: Type.Integer({ minimum: 0 }) }),
    exported: Type.Object({ validation: Type.Union([Type.Null(), Type.Object({ loss: Type.Number() })]) })
  }),
  sha256: digest,
  model: Type.Object({ sha256: digest })
})

interface Options {
  output?: string
  record?: string
  force?: boolean
}

export function bomCommand(): Command {
  return new Command('bom')
    .summary('write the bill of materials of a model')
    .description(
      'Write the bill of materials of a GGUF file (CycloneDX 1.6): digest, architecture, parameters, tensor ' +
        'types, tokenizer, and the digest of its data if a training record or the file has it. The same file ' +
        'gives the same bill.'
    )
    .argument('<model>', 'a .gguf file')
    .option('-o, --output <file>', 'file to write (default: standard output)')
    .option('--record <file>', 'training record of the model (default: MODEL.record.json or record.json beside it)')
    .option('--force', 'replace an existing file')
    .addHelpText(
      'after',
      '\nExamples:\n  verit model bom model.gguf -o model.cdx.json\n  verit model bom model.gguf --record ' +
        'runs/a/record.json | jq .metadata.component.hashes'
    )
    .action(run)
}

async function run(path: string, options: Options): Promise<void> {
  if (options.output !== undefined) checkOutput(options.output, path, options.force === true)
  const source = openRegular(path, 'the model')
  try {
    const { metadata, tensors } = new GgufFile(source)
    const progress = new Progress({ label: 'hash', total: source.size, format: formatBytes })
    const sha256 = await digestDescriptor(source.fd, path, { onProgress: done => progress.update(done) })
    progress.clear()
    source.checkUnchanged()
    const origin = originOf(path, sha256, options.record)
    const text = modelBom({
      file: basename(path),
      bytes: source.size,
      digest: sha256,
      metadata,
      tensors,
      ...(origin !== undefined && { origin })
    })
    if (options.output === undefined) process.stdout.write(text)
    else writeFileAtomic(options.output, text, { overwrite: options.force === true })
  } finally {
    source.close()
  }
}

/**
 * The facts of a training record about the file. A record given by name must belong to the file; one found beside it is
 * ignored if it does not.
 */
function originOf(model: string, sha256: Digest, named: string | undefined): Origin | undefined {
  const beside = [`${model.replace(/\.gguf$/, '')}.record.json`, join(dirname(model), 'record.json')].find(path =>
    existsSync(path)
  )
  const path = named ?? beside
  if (path === undefined) return undefined
  const file = readRecord(path)
  const { record } = file ?? {}
  const problem = ((): string | undefined => {
    if (file === undefined || record === undefined) return 'is not a training record'
    if (file.model.sha256 !== sha256) return 'belongs to another model file'
    return digestBytes(JSON.stringify(record)) === file.sha256 ? undefined : 'was changed: its digest differs'
  })()
  if (problem === undefined) {
    const { dataset, exported } = record!
    return {
      record: file!.sha256 as Digest,
      dataset: dataset.manifest as Digest,
      tokenizer: dataset.tokenizer as Digest,
      trainTokens: dataset.trainTokens,
      validationLoss: exported.validation?.loss
    }
  }
  if (named !== undefined)
    throw new VeritError('VERIT_USAGE', {
      problem: `${printable(path)} ${problem}`,
      hint: 'Give the record.json that `verit train` wrote beside this very file, or leave --record out'
    })
  process.stderr.write(`${printable(path)} ${problem}: the bill does not repeat it.\n`)
  return undefined
}

function readRecord(path: string): Type.Static<typeof Record> | undefined {
  const file = openRegular(path, 'the training record')
  try {
    if (file.size > MAX_RECORD_BYTES) return undefined
    const bytes = file.readAll()
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return Value.Check(Record, value) ? value : undefined
  } catch (e) {
    if (e instanceof SyntaxError) return undefined
    throw e
  } finally {
    file.close()
  }
}
