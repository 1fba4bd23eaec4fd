/** A GGUF model in several files, as `llama-gguf-split` names them: NAME-00001-of-00003.gguf. */
import { basename, dirname, join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { openRegular } from '../lib/regular-file.ts'
import { GgufFile } from './gguf-reader.ts'

/** Most parts of a model. */
const MOST_PARTS = 1000

const NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/

/** Whether a file is named as the first of several parts. */
export const isFirstPart = (path: string): boolean => {
  const [, , number, count] = NAME.exec(basename(path)) ?? []
  return number === '00001' && Number(count) > 1
}

/**
 * Opens all parts of a model by the path of the first one. The result reads as one file. Close it after use.
 * @throws VeritError VERIT_FILE_NOT_FOUND naming a missing part, VERIT_GGUF for parts that do not belong together
 */
export function openParts(first: string): GgufFile {
  const [, name, , last] = NAME.exec(basename(first)) ?? []
  const count = Number(last)
  if (!(count <= MOST_PARTS))
    throw new VeritError('VERIT_GGUF', {
      file: first,
      offset: 0,
      problem: `its name says ${printable(String(last))} parts, more than the limit of ${MOST_PARTS}`
    })
  const parts: GgufFile[] = []
  try {
    for (let i = 2; i <= count; i++) {
      const part = `${name}-${String(i).padStart(5, '0')}-of-${last}.gguf`
      parts.push(openPart(join(dirname(first), part)))
    }
    const source = openRegular(first, 'the first part of the model')
    try {
      return new GgufFile(source, parts)
    } catch (e) {
      source.close()
      throw e
    }
  } catch (e) {
    for (const part of parts) part.close()
    throw e
  }
}

function openPart(path: string): GgufFile {
  const source = openRegular(path, 'a part of the model')
  try {
    return new GgufFile(source, [], true)
  } catch (e) {
    source.close()
    throw e
  }
}
