/**
 * An entry on its way into the log: checked when it is handed over, and made bytes when its index is known, on which
 * its commitments depend.
 */
import { invariant } from '../lib/errors.ts'
import { canonicalJson, canonicalObject } from './canonical-json.ts'
import type { Commitment, NewAuditEntry, RequestTexts } from './entry.ts'
import { ENTRY_BYTES, entryProblem } from './entry-schema.ts'

export interface Draft {
  /** Names and values in canonical JSON, the time included. */
  readonly fields: [string, string][]
  readonly time: string
  readonly texts: RequestTexts | undefined
  /** Public id of the request, if the entry is one. */
  readonly request: string | undefined
}

const SAMPLE: Commitment = `sha256-hmac:${'0'.repeat(64)}`

/**
 * Checks and copies an entry.
 * @throws VeritError VERIT_INTERNAL if it does not fit the schema, is too long, or is not JSON: entries come from our
 *   own code
 */
export function draftEntry(entry: NewAuditEntry, time: string, texts: RequestTexts | undefined): Draft {
  const whole = { ...entry, time, ...(texts === undefined ? {} : { prompt: SAMPLE, answer: SAMPLE }) }
  const present = Object.fromEntries(Object.entries(whole).filter(([, v]) => v !== undefined))
  const problem = entryProblem(present)
  invariant(problem === undefined, `an audit entry is malformed: ${problem}`)
  let fields: [string, string][]
  try {
    fields = Object.entries(present).map(([name, value]) => [name, canonicalJson(value)])
  } catch (e) {
    invariant(false, `an audit entry cannot be written: ${e instanceof Error ? e.message : String(e)}`)
  }
  const bytes = Buffer.byteLength(canonicalObject(fields))
  invariant(bytes <= ENTRY_BYTES, `an audit entry of ${bytes} bytes is longer than ${ENTRY_BYTES}`)
  const rest = texts === undefined ? fields : fields.filter(([name]) => name !== 'prompt' && name !== 'answer')
  return { fields: rest, time, texts, request: 'request' in entry ? entry.request : undefined }
}

/** The bytes of an entry, given the commitments to its texts. */
export function entryBytes(draft: Draft, commitments: { prompt: Commitment; answer: Commitment } | undefined): Buffer {
  const added: [string, string][] =
    commitments === undefined
      ? []
      : [
          ['prompt', JSON.stringify(commitments.prompt)],
          ['answer', JSON.stringify(commitments.answer)]
        ]
  return Buffer.from(canonicalObject([...draft.fields, ...added]), 'utf8')
}
