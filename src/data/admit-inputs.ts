/**
 * Looks at every input before the first pass, so that one odd file neither stops a folder nor slips in. A named file
 * must be text; a file found in a folder that is not text is passed over.
 */
import { statSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { VeritError } from '../lib/errors.ts'
import { formatBytes, Progress } from '../lib/progress.ts'
import type { ProgressOptions } from '../lib/progress.ts'
import { isReadable } from './input-kind.ts'
import type { TextRules } from './input-kind.ts'
import type { InputFile, Listing } from './inputs.ts'
import { countsOf } from './inputs.ts'
import { passedOverNotices } from './notices.ts'
import { checkKind, checkUtf8, kindAt, readText } from './read-text.ts'

export interface Admission extends Listing {
  /** Messages for the user of `prepare`. */
  readonly notices: string[]
}

export interface AdmitOptions extends TextRules {
  /** Extensions that count in folders, for the error if no file has one. */
  readonly extensions: readonly string[]
  readonly signal?: AbortSignal | undefined
  readonly stream?: ProgressOptions['stream'] | undefined
}

/** Ended by Ctrl-C before anything was written. */
export const interrupted = (): VeritError<'VERIT_INTERRUPTED'> =>
  new VeritError('VERIT_INTERRUPTED', {
    saved: 'nothing was written',
    resume: 'Run the same command again to start over'
  })

/**
 * @throws VeritError VERIT_DATA_KIND, VERIT_FILE_KIND and others for a file given by name, VERIT_DATA_EMPTY if no file
 *   remains
 */
export async function admitInputs(listing: Listing, options: AdmitOptions): Promise<Admission> {
  const admission: Admission = { files: [], passedOver: [...listing.passedOver], notices: [] }
  const { signal, stream } = options
  const total = listing.files.reduce((sum, { path }) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0)
  const progress = new Progress({ label: 'check', total, format: formatBytes, ...(stream && { stream }) })
  let done = 0
  const promises = new Map<string, number>()
  try {
    for (const file of listing.files) {
      const reason = await reasonAgainst(file, options, bytes => progress.update((done += bytes)), promises)
      if (signal?.aborted === true) throw interrupted()
      if (reason === undefined) admission.files.push(file)
      else admission.passedOver.push({ name: file.name, reason, wanted: true })
    }
  } finally {
    progress.clear()
  }
  if (admission.files.length === 0) throw nothingLeft(listing, admission, options)
  admission.notices.push(...passedOverNotices(admission.passedOver))
  for (const [promised, n] of promises) {
    const files = n === 1 ? '1 file is' : `${n.toLocaleString('en-US')} files are`
    admission.notices.push(`${files} read as plain text: by name ${promised}, by content not`)
  }
  return admission
}

/** Why a file found in a folder is skipped; undefined if it is read. Throws for a file given by name. */
async function reasonAgainst(
  file: InputFile,
  rules: AdmitOptions,
  onBytes: (n: number) => void,
  promises: Map<string, number>
): Promise<string | undefined> {
  try {
    const kind = kindAt(file.path)
    if (!file.found) checkKind(file.path, rules)
    else if (!isReadable(kind, rules)) return kind.kind
    // The reader reports the first invalid byte of a named file.
    if (file.found && rules.replaceInvalid !== true && !(await isUtf8File(file.path, onBytes))) return 'invalid UTF-8'
    if (kind.promised !== undefined) promises.set(kind.promised, (promises.get(kind.promised) ?? 0) + 1)
    return undefined
  } catch (e) {
    const ofFile = VeritError.is(e) && ['VERIT_FILE_IO', 'VERIT_FILE_NOT_FOUND', 'VERIT_FILE_KIND'].includes(e.code)
    if (file.found && ofFile) return 'unreadable'
    throw e
  }
}

async function isUtf8File(path: string, onBytes: (n: number) => void): Promise<boolean> {
  const check = checkUtf8(path)
  for (let at = 0; ;) {
    const next = check.next()
    if (next.done === true) return next.value
    onBytes(next.value - at)
    at = next.value
    await setImmediate() // lets Ctrl-C through
  }
}

/** If no file is text, the error of the first one is the most useful. */
function nothingLeft({ files: [first] }: Listing, { passedOver }: Listing, options: AdmitOptions): VeritError {
  const { extensions } = options
  if (first !== undefined) {
    try {
      checkKind(first.path, options)
      for (const _ of readText(first.path, options)) continue
    } catch (e) {
      if (VeritError.is(e)) return e
      throw e
    }
  }
  const others = passedOver.length === 0 ? '' : ` (skipped: ${countsOf(passedOver)})`
  return new VeritError('VERIT_DATA_EMPTY', {
    what: `no file ends in ${extensions.join(', ')}${others}`,
    hint: 'Name a file to see why it is skipped, or give the endings of text files with --extensions'
  })
}
