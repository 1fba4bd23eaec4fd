/** The files of a Hugging Face folder: its weights and its configuration. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Fields } from '../arch/fields.ts'
import { openSafetensors } from '../formats/safetensors.ts'
import type { TensorFile } from '../formats/tensor-file.ts'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { otherKind } from '../lib/other-kind.ts'
import { printable } from '../lib/printable.ts'
import { openRegular } from '../lib/regular-file.ts'
import { parseStrictJson } from '../lib/strict-json.ts'

const MAX_CONFIG_BYTES = 1 << 20

/** Names of weight files in transformers: one file, or parts. */
const WEIGHTS = /^model(-\d{5}-of-\d{5})?\.safetensors$/

/** Weights that PyTorch saves as pickle, whole or in shards. */
const PICKLE = /^(?:pytorch_model|consolidated|model)\S*\.(?:bin|pt|pth|ckpt)$|\.(?:pt|pth|ckpt)$/

/**
 * The weight files of a folder, open.
 * @throws VeritError VERIT_FILE_NOT_FOUND, VERIT_MODEL_FILE, VERIT_SAFETENSORS
 */
export function openWeights(folder: string): TensorFile[] {
  let names: string[]
  try {
    names = readdirSync(folder)
      .filter(name => WEIGHTS.test(name))
      .sort()
  } catch (e) {
    throw fileError(e, folder, 'read', 'a folder with a model')
  }
  refusePickle(folder)
  if (names.length === 0)
    throw new VeritError('VERIT_FILE_NOT_FOUND', {
      path: join(folder, 'model.safetensors'),
      purpose: 'the weights of the model'
    })
  checkParts(folder, names)
  const files: TensorFile[] = []
  try {
    for (const name of names) files.push(openSafetensors(join(folder, name)))
    return files
  } catch (e) {
    for (const file of files) file[Symbol.dispose]()
    throw e
  }
}

/** Parts are numbered from 1 to their count, and none is missing. */
function checkParts(folder: string, names: readonly string[]): void {
  const parts = names.filter(name => name !== 'model.safetensors')
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_MODEL_FILE', { file: folder, problem })
  }
  if (parts.length === 0) return
  if (parts.length < names.length) refuse('it has both model.safetensors and parts of a model')
  const count = Number(parts[0]!.slice(15, 20))
  for (let i = 1; i <= count; i++) {
    const five = (n: number): string => String(n).padStart(5, '0')
    const name = `model-${five(i)}-of-${five(count)}.safetensors`
    if (!parts.includes(name)) refuse(`its part ${name} is missing`)
  }
  if (parts.length !== count) refuse(`it has parts of different models (${parts[0]} and ${parts.at(-1)})`)
}

/**
 * Names the PyTorch weights of a folder that has no others.
 * @throws VeritError VERIT_MODEL_FILE
 */
export function refusePickle(folder: string): void {
  const names = readdirSync(folder).sort()
  const pickle = names.find(name => PICKLE.test(name))
  if (pickle === undefined || names.some(name => WEIGHTS.test(name))) return
  throw new VeritError('VERIT_MODEL_FILE', {
    file: folder,
    problem: `it holds PyTorch weights (${printable(pickle)}, a pickle, which can run code), which Verit does not read`,
    fix: 'Get the model as safetensors from its source'
  })
}

/** The content of config.json. @throws VeritError VERIT_MODEL_FILE, VERIT_FILE_NOT_FOUND */
export function readConfigJson(path: string): Fields {
  using file = openRegular(path, 'the configuration of the model')
  const refuse = (problem: string, cause?: unknown): never => {
    throw new VeritError('VERIT_MODEL_FILE', { file: path, problem }, cause)
  }
  const other = otherKind(file, 'json')
  if (other !== undefined) throw new VeritError('VERIT_MODEL_FILE', { file: path, ...other })
  if (file.size > MAX_CONFIG_BYTES) refuse(`it is larger than ${MAX_CONFIG_BYTES} bytes`)
  let json: unknown
  try {
    json = parseStrictJson(file.readAll())
  } catch (e) {
    if (VeritError.is(e, 'VERIT_JSON') || VeritError.is(e, 'VERIT_CONTENT_TYPE')) refuse(e.fields.problem, e)
    throw e
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return refuse('its content is not an object')
  return json as Fields
}

/** Whether a folder holds a model: a configuration and weights. */
export function isModelFolder(folder: string): boolean {
  const names = readdirSync(folder)
  return names.includes('config.json') && names.some(name => WEIGHTS.test(name))
}
