/** `verit models`: lists, shows and removes pulled models, and deletes unreferenced files. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { ModelStore } from '../hub/model-store.ts'
import type { StoredModel } from '../hub/model-store.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { formatBytes } from '../lib/progress.ts'
import { modelsOption } from './models-options.ts'

interface Options {
  models: string
  json?: boolean
  dryRun?: boolean
}

export function command(): Command {
  const models = new Command('models')
    .summary('list and remove pulled models')
    .description('The store of pulled models: files by digest, and the names that refer to them.')
    .addHelpText(
      'after',
      '\nExamples:\n  verit models list\n  verit models show mine\n  verit models remove mine\n  verit models gc ' +
        '--dry-run'
    )
  const part = (name: string, text: string, examples: string): Command =>
    models
      .command(name)
      .description(text)
      .addOption(modelsOption())
      .option('--json', 'print JSON')
      .addHelpText('after', `\nExamples:\n${examples}`)
  part('list', 'List names, sizes, digests and sources.', '  verit models list\n  verit models list --json').action(
    list
  )
  part(
    'show',
    'Show digest, source and path of a model.',
    '  verit models show mine\n  verit models show mine --json | jq -r .digest'
  )
    .argument('<name>')
    .action(show)
  part('remove', 'Remove a name. Its file stays until gc.', '  verit models remove mine')
    .argument('<name>')
    .action(remove)
  part(
    'gc',
    'Remove files that no name and no known verit.lock refers to, and abandoned downloads; list what keeps the others.',
    '  verit models gc --dry-run\n  verit models gc'
  )
    .option('--dry-run', 'only list what would be removed')
    .action(gc)
  return models
}

/** A command that only reads makes no store in a mistyped folder. */
function existing(folder: string): ModelStore | undefined {
  return existsSync(join(folder, 'index.db')) ? new ModelStore(folder) : undefined
}

const line = (value: unknown): void => void process.stdout.write(`${printableJson(value)}\n`)

function list({ models, json }: Options): void {
  using store = existing(models)
  const all = store?.list() ?? []
  if (json === true) return line(all)
  if (all.length === 0)
    process.stdout.write(`No model was pulled into ${printable(models)} yet: verit pull fetches one.\n`)
  const width = Math.max(...all.map(m => m.name.length), 0)
  for (const m of all)
    process.stdout.write(
      `${m.name.padEnd(width)}  ${formatBytes(m.size).padStart(8)}  ${m.digest.slice(7, 19)}  ${printable(m.source)}\n`
    )
}

function find(store: ModelStore | undefined, name: string): StoredModel {
  const model = store?.find(name)
  if (model !== undefined) return model
  throw new VeritError('VERIT_MODEL_NAME', {
    name: printable(name, 100),
    problem: 'stands for no pulled model',
    hint: '`verit models list` shows them all'
  })
}

function show(name: string, { models, json }: Options): void {
  using store = existing(models)
  const model = find(store, name)
  const path = store!.path(model.digest)
  if (json === true) return line({ ...model, path })
  const { signature } = model
  process.stdout.write(
    `${model.name}\n  digest    ${model.digest}\n  size      ${model.size.toLocaleString('en-US')} bytes ` +
      `(${formatBytes(model.size)})\n` +
      `  source    ${printable(model.source)}\n` +
      (model.revision === undefined ? '' : `  commit    ${model.revision}\n`) +
      `  pulled    ${model.pulled}\n` +
      (signature === undefined ? '' : `  signature ${signature.digest}, of ${printable(signature.signedAs)}\n`) +
      `  path      ${printable(path)}\n`
  )
}

function remove(name: string, { models, json }: Options): void {
  using store = existing(models)
  const model = find(store, name)
  store!.remove(name)
  if (json === true) return line(model)
  process.stdout.write(`${name} is no longer a name. verit models gc removes its file, if nothing else refers to it.\n`)
}

function gc({ models, json, dryRun }: Options): void {
  using store = existing(models)
  const removed = store?.gc(dryRun === true) ?? []
  const kept = store?.kept() ?? []
  if (json === true) return line({ removed, kept })
  for (const { path, bytes } of removed) process.stdout.write(`${path}  ${formatBytes(bytes)}\n`)
  const sum = formatBytes(removed.reduce((n, r) => n + r.bytes, 0))
  process.stdout.write(
    `${removed.length} ${removed.length === 1 ? 'file' : 'files'}, ${sum} ` +
      `${dryRun === true ? 'would be' : 'were'} removed\n`
  )
  if (kept.length > 0) process.stdout.write(`Kept, and what refers to each (verit models remove takes a name away):\n`)
  for (const { path, bytes, by } of kept)
    process.stdout.write(`${path}  ${formatBytes(bytes)}\n  ${by.map(each => printable(each)).join(', ')}\n`)
}
