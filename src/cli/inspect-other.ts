/**
 * `verit inspect` of what is not one file of a known format: folders of models, datasets and runs, checkpoints of
 * PyTorch, models in several files. Says what it is, whether Verit reads it, and the command that gets it running.
 */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isFirstPart } from '../formats/gguf-parts.ts'
import { openTorch } from '../formats/torch-file.ts'
import { VeritError } from '../lib/errors.ts'
import { kindOfFile } from '../lib/file-kind.ts'
import { printable } from '../lib/printable.ts'
import { openRegular } from '../lib/regular-file.ts'
import { isDatasetFolder, isFolder, isRunFolder } from '../lib/run-files.ts'
import { veritCommand } from '../lib/shell-word.ts'
import { GENAI_CONFIG } from '../model/genai-config.ts'
import type { ModelSource } from '../model/model-source.ts'
import { elementsOf, parametersOf } from '../model/parameters.ts'
import { openSource } from './convert-source.ts'

export interface OtherReport {
  readonly path: string
  /** Such as "Hugging Face folder". */
  readonly kind: string
  /** Facts in order: name and text. */
  readonly facts: readonly (readonly [name: string, text: string])[]
  /** Why Verit does not read it. */
  readonly problem?: string
  /** The command that gets it running. */
  readonly command?: string
}

/** Undefined for a file that `verit inspect` shows in full. */
export async function inspectOther(path: string): Promise<OtherReport | undefined> {
  if (isFolder(path)) return await ofFolder(path)
  if (isFirstPart(path)) return await ofSource(path, 'model in several GGUF files', [])
  if (!existsSync(path) || !statSync(path).isFile()) return undefined
  const { kind, what } = kindHere(path)
  if (kind === 'pickle')
    return { path, kind: what, facts: [], problem: 'a pickle alone is no weights that Verit reads' }
  return kind === 'pytorch' ? await ofCheckpoint(path) : undefined
}

function kindHere(path: string): { kind: string; what: string } {
  using file = openRegular(path, 'the file to inspect')
  return kindOfFile(file)
}

async function ofFolder(path: string): Promise<OtherReport> {
  const names = readdirSync(path)
  if (isDatasetFolder(path))
    return { path, kind: 'dataset of verit prepare', facts: [], command: veritCommand('train', '--data', path) }
  if (names.includes(GENAI_CONFIG))
    return {
      path,
      kind: 'folder of ONNX Runtime GenAI',
      facts: [['Files', list(names)]],
      problem: 'Verit writes ONNX and does not run it; ONNX Runtime GenAI does'
    }
  if (names.includes('adapter_config.json'))
    return {
      path,
      kind: 'LoRA adapter (PEFT)',
      facts: [['Base model', textIn(join(path, 'adapter_config.json'), 'base_model_name_or_path')]],
      problem: 'Verit does not apply adapters: merge it into its model with peft (merge_and_unload), then convert that'
    }
  if (isRunFolder(path))
    return { path, kind: 'training run of Verit', facts: [], command: veritCommand('generate', path) }
  if (names.includes('config.json')) {
    const type = textIn(join(path, 'config.json'), 'model_type')
    return await ofSource(path, 'Hugging Face folder', [['Model type', type]])
  }
  const problem = 'it has no config.json, run.json, manifest.json, adapter_config.json or genai_config.json'
  return { path, kind: 'folder', facts: [['Files', list(names)]], problem }
}

async function ofCheckpoint(path: string): Promise<OtherReport> {
  using file = openTorch(path)
  const configuration = Object.entries(file.configuration ?? {})
  const facts: [string, string][] = [
    ['Tensors', file.tensors.size.toLocaleString('en-US')],
    ...(configuration.length > 0
      ? [
          ['Configuration', configuration.map(([key, value]) => `${key} ${String(value)}`).join(', ')] as [
            string,
            string
          ]
        ]
      : [])
  ]
  return await ofSource(path, 'PyTorch checkpoint', facts)
}

/** Facts of a model, if Verit reads it; otherwise why not. */
async function ofSource(
  path: string,
  kind: string,
  facts: readonly (readonly [string, string])[]
): Promise<OtherReport> {
  try {
    using open = await openSource(path, undefined, {})
    return {
      path,
      kind,
      facts: [...facts, ...factsOf(open.source)],
      command: veritCommand('convert', path, 'model.gguf')
    }
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return { path, kind, facts, problem: `${e.what}. ${e.next}` }
  }
}

function factsOf(source: ModelSource): [string, string][] {
  const { config, conversation, tokenizer } = source
  const parameters = parametersOf(config)
  const types = new Set(parameters.filter(p => p.shape.length > 1).map(p => source.typeOf(p) ?? 'packed'))
  const count = parameters.reduce((n, p) => n + elementsOf(p), 0)
  return [
    ['Architecture', config.kind],
    ['Parameters', count.toLocaleString('en-US')],
    ['Weights', [...types].join(', ')],
    ['Context', `${config.context.toLocaleString('en-US')} tokens`],
    ['Tokenizer', `${tokenizer.vocabSize.toLocaleString('en-US')} tokens`],
    ['Chat template', conversation.template === undefined ? 'none' : conversation.template.source]
  ]
}

/** A text of a JSON file that may be damaged: this only describes. */
function textIn(path: string, key: string): string {
  try {
    using file = openRegular(path, 'a file of the folder')
    if (file.size > 1 << 20) return 'unknown'
    const json: unknown = JSON.parse(file.readAll().toString('utf8'))
    const value = typeof json === 'object' && json !== null ? (json as Record<string, unknown>)[key] : undefined
    return typeof value === 'string' ? printable(value, 100) : 'unknown'
  } catch {
    return 'unknown'
  }
}

const SHOWN = 12

const list = (names: readonly string[]): string =>
  printable(names.slice(0, SHOWN).join(', '), 400) + (names.length > SHOWN ? `, and ${names.length - SHOWN} more` : '')

export function otherText({ path, kind, facts, problem, command }: OtherReport): string {
  const width = Math.max(0, ...facts.map(([name]) => name.length))
  return [
    `${printable(path)}: ${kind}\n`,
    ...facts.map(([name, text]) => `  ${name.padEnd(width)}  ${printable(text, 400)}\n`),
    problem === undefined ? '' : `Verit does not read it: ${printable(problem, 600)}\n`,
    command === undefined ? '' : `To run it:\n  ${command}\n`
  ].join('')
}
