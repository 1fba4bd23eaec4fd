/** Decides whether a file is read as text, and names the step that makes a text of the others. */
import { VeritError } from '../lib/errors.ts'
import type { FileKind } from '../lib/file-kind.ts'
import { nextStepOf } from '../lib/file-kind.ts'
import { shellPath, shellWord } from '../lib/shell-word.ts'

export interface TextRules {
  /** Read records and markup as plain text. Default false: refuse them. */
  readonly asText?: boolean | undefined
  /** Read bytes that are not UTF-8 as U+FFFD. Default false: refuse them. */
  readonly replaceInvalid?: boolean | undefined
}

/**
 * Whether a file of this kind is read as text. No rule reads binary formats, UTF-16 or UTF-32: their bytes read as
 * UTF-8 are noise.
 */
export function isReadable({ kind, group }: FileKind, { asText = false, replaceInvalid = false }: TextRules): boolean {
  if (group === 'text' || group === 'empty' || kind === 'utf-8-damaged') return true
  if (group === 'records' || group === 'markup' || group === 'stand-in') return asText
  return group === 'encoding' && !kind.startsWith('utf-') && replaceInvalid
}

/** @param head first bytes of the file, for the names of its fields */
export function refusalOf(path: string, kind: FileKind, head: string): VeritError {
  return new VeritError('VERIT_DATA_KIND', { path, what: kind.what, next: stepOf(path, kind, head) })
}

/** The same for standard input. The next step calls the source file FILE. */
export function refusalOfInput(kind: FileKind, head: string): VeritError {
  return new VeritError('VERIT_DATA_KIND', {
    path: 'standard input',
    what: kind.what,
    next: stepOf('FILE', kind, head)
  })
}

/** End of the sentence for text that can also be read as plain text. */
const AS_TEXT = 'To read it as plain text all the same, add --as-text'
const EXPORT = 'Export its text column to a text file first, for example with DuckDB or pandas'

function stepOf(path: string, kind: FileKind, head: string): string {
  const common = nextStepOf(kind, path)
  if (common !== undefined) return common
  const file = shellPath(path)
  const out = shellPath(`${path.replace(/\.[A-Za-z0-9]{1,8}$/, '')}.out.txt`)
  switch (kind.kind) {
    case 'jsonl':
      return `${jsonLinesStep(file, out, head)}. ${AS_TEXT}`
    case 'json':
      return `Extract its texts to a text file first, for example with jq. ${AS_TEXT}`
    case 'csv':
    case 'tsv':
      return `${tableStep(file, out, kind.kind, head)}. ${AS_TEXT}`
    case 'html':
      return `Extract its text first: pandoc -f html -t plain ${file} -o ${out}. ${AS_TEXT}`
    case 'rtf':
      return `Extract its text first: pandoc -f rtf -t plain ${file} -o ${out}. ${AS_TEXT}`
    case 'pdf':
      return `Extract its text first: pdftotext ${file} ${out}`
    case 'epub':
      return `Extract its text first: pandoc -f epub -t plain ${file} -o ${out}`
    case 'office':
    case 'opendocument':
      return `Save it as plain text first, or run pandoc -t plain ${file} -o ${out}`
    case 'verit-tokens':
      return 'Name the folder of its dataset'
    case 'binary':
      return 'Name a text file. If it is compressed or encrypted, unpack it first'
    default:
      return ofGroup(kind)
  }
}

function ofGroup({ group }: FileKind): string {
  if (group === 'markup') return `Extract its text first. ${AS_TEXT}`
  if (group === 'table') return EXPORT
  if (group === 'model') return 'Name a text file; verit inspect shows what a model file holds'
  return group === 'document' ? 'Extract its text to a text file first' : 'Name a text file'
}

/** The field of a record that holds its text, by its name; else the first one that holds a string. */
function textField(record: Readonly<Record<string, unknown>>): string | undefined {
  const strings = Object.keys(record).filter(name => typeof record[name] === 'string')
  return ['text', 'content', 'story', 'body', 'document'].find(name => strings.includes(name)) ?? strings[0]
}

function jsonLinesStep(file: string, out: string, head: string): string {
  const first: unknown = firstRecord(head)
  const field = typeof first === 'object' && first !== null ? textField(first as Record<string, unknown>) : undefined
  if (field === undefined) return 'Extract its texts to a text file first, for example with jq'
  const path = /^[A-Za-z_]\w*$/.test(field) ? `.${field}` : `.[${JSON.stringify(field)}]`
  const filter = shellWord(`${path}, "<|endoftext|>"`)
  return `Extract its texts first, one document after another: jq -r ${filter} ${file} > ${out}`
}

function firstRecord(head: string): unknown {
  try {
    return JSON.parse(
      head
        .replace(/^\ufeff/, '')
        .trimStart()
        .split('\n', 1)[0]!
    )
  } catch {
    return undefined // the line is longer than what was read
  }
}

/** The separator of a table is the one that its first row has most of. */
function tableStep(file: string, out: string, kind: 'csv' | 'tsv', head: string): string {
  const row = head.replace(/^\ufeff/, '').split(/\r?\n/, 1)[0]!
  const semicolons = row.split(';').length > row.split(',').length
  const separator = kind === 'tsv' ? '\t' : semicolons ? ';' : ','
  const names = row.split(separator).map(name => name.trim().replace(/^"(.*)"$/, '$1'))
  const column = ['text', 'content', 'body'].find(name => names.includes(name))
  const rows = `csv.DictReader(sys.stdin, delimiter=${JSON.stringify(separator)})`
  const print = `print(row["${column ?? 'COLUMN'}"], "<|endoftext|>", sep="\\n")`
  const script = shellWord(`import csv, sys; [${print} for row in ${rows}]`)
  const lead = `Export its text column first${column === undefined ? ' (its name in place of COLUMN)' : ''}`
  return `${lead}: python3 -c ${script} < ${file} > ${out}`
}
