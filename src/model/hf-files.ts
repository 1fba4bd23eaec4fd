/** The files of a Hugging Face folder: its weights and its configuration. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Fields } from '../arch/fields.ts'
import { openSafetensors } from '../formats/safetensors.ts'
import { openTorch } from '../formats/torch-file.ts'
import type { TensorFile } from '../formats/tensor-file.ts'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { otherKind } from '../lib/other-kind.ts'
import { openRegular } from '../lib/regular-file.ts'
import { parseStrictJson } from '../lib/strict-json.ts'

const MAX_CONFIG_BYTES = 1 << 20

/** Weight files of transformers: one file, or parts. PyTorch's are read where there is no other. */
const KINDS = [
  { pattern: /^model(-\d{5}-of-\d{5})?\.safetensors$/, stem: 'model', ending: 'safetensors', open: openSafetensors },
  { pattern: /^pytorch_model(-\d{5}-of-\d{5})?\.bin$/, stem: 'pytorch_model', ending: 'bin', open: openTorch }
] as const

const kindIn = (names: readonly string[]): (typeof KINDS)[number] | undefined =>
  KINDS.find(({ pattern }) => names.some(name => pattern.test(name)))

/**
 * The weight files of a folder, open.
 * @throws VeritError VERIT_FILE_NOT_FOUND, VERIT_MODEL_FILE, VERIT_SAFETENSORS, VERIT_TORCH_FILE
 */
export function openWeights(folder: string): TensorFile[] {
  let all: string[]
  try {
    all = readdirSync(folder).sort()
  } catch (e) {
    throw fileError(e, folder, 'read', 'a folder with a model')
  }
  const kind = kindIn(all)
  if (kind === undefined)
    throw new VeritError('VERIT_FILE_NOT_FOUND', {
      path: join(folder, 'model.safetensors'),
      purpose: 'the weights of the model'
    })
  const names = all.filter(name => kind.pattern.test(name))
  checkParts(folder, names, kind)
  const files: TensorFile[] = []
  try {
    for (const name of names) files.push(kind.open(join(folder, name)))
    return files
  } catch (e) {
    for (const file of files) file[Symbol.dispose]()
    throw e
  }
}

/** Parts are numbered from 1 to their count, and none is missing. */
function checkParts(folder: string, names: readonly string[], { stem, ending }: (typeof KINDS)[number]): void {
  const single = `${stem}.${ending}`
  const parts = names.filter(name => name !== single)
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_MODEL_FILE', { file: folder, problem })
  }
  if (parts.length === 0) return
  if (parts.length < names.length) refuse(`it has both ${single} and parts of a model`)
  const count = Number(/-of-(\d{5})/.exec(parts[0]!)![1])
  for (let i = 1; i <= count; i++) {
    const five = (n: number): string => String(n).padStart(5, '0')
    const name = `${stem}-${five(i)}-of-${five(count)}.${ending}`
    if (!parts.includes(name)) refuse(`its part ${name} is missing`)
  }
  if (parts.length !== count) refuse(`it has parts of different models (${parts[0]} and ${parts.at(-1)})`)
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
  return names.includes('config.json') && kindIn(names) !== undefined
}
