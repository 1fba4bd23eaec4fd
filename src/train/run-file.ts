/** Reads the configuration file of a run: JSON with the objects `model` and `train`, data only. */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { openRegular } from '../lib/regular-file.ts'

export type Fields = Readonly<Record<string, unknown>>

export interface RunFile {
  /** Its name in errors. */
  readonly path?: string
  readonly model: Fields
  readonly train: Fields
}

const MOST_BYTES = 1 << 20

/** @throws VeritError VERIT_USAGE naming the file and its problem, and those of opening */
export function readRunFile(path: string): RunFile {
  const refuse = (problem: string): never => {
    const hint = 'It holds {"model": {...}, "train": {...}}; docs/internals/training.md lists the fields'
    throw new VeritError('VERIT_USAGE', { problem: `${path} ${problem}`, hint })
  }
  using file = openRegular(path, 'the configuration file')
  if (file.size > MOST_BYTES) refuse('is larger than 1 MiB')
  let value: unknown
  try {
    value = JSON.parse(
      file
        .readAll()
        .toString('utf8')
        .replace(/^\ufeff/, '')
    )
  } catch (e) {
    return refuse(e instanceof SyntaxError ? `is not JSON (${printable(e.message, 120)})` : 'cannot be read')
  }
  if (!isObject(value)) return refuse('is not an object')
  const other = Object.keys(value).find(key => key !== 'model' && key !== 'train')
  if (other !== undefined) return refuse(`has the field ${JSON.stringify(printable(other, 60))} beside model and train`)
  const { model = {}, train = {} } = value
  if (!isObject(model)) return refuse('has a model that is not an object')
  return isObject(train) ? { path, model, train } : refuse('has a train that is not an object')
}

const isObject = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v)
