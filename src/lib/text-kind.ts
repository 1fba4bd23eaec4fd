/**
 * Tells whether a text is records (JSON, JSON Lines, CSV), markup (HTML, XML, RTF) or a stand-in for a file (a pointer,
 * an error message). Only strong evidence counts: books with commas, Markdown with tags, source code are plain text.
 */
import { extname } from 'node:path'
import type { FileGroup } from './file-signatures.ts'
import { walkJson } from './json-walk.ts'
import { tableSeparator } from './text-table.ts'

export interface TextKind {
  readonly kind: string
  readonly group: FileGroup
  readonly what: string
}

const kind = (name: string, group: FileGroup, what: string): TextKind => ({ kind: name, group, what })

/**
 * The kind of a text; undefined for plain text.
 * @param text the beginning of the file
 * @param whole whether that is all of it
 * @param name of the file; its ending confirms CSV and HTML
 */
export function textKindOf(text: string, whole: boolean, name: string): TextKind | undefined {
  const start = text.replace(/^\ufeff/, '')
  const ending = extname(name).toLowerCase()
  return standIn(start, whole) ?? markup(start, ending) ?? json(start, whole) ?? table(start, whole, ending)
}

/** The formats that endings of names promise. */
const PROMISED: Readonly<Record<string, string>> = {
  '.json': 'JSON',
  '.ipynb': 'JSON',
  '.jsonl': 'JSON Lines',
  '.ndjson': 'JSON Lines',
  '.csv': 'CSV',
  '.tsv': 'TSV',
  '.tab': 'TSV',
  '.html': 'HTML',
  '.htm': 'HTML',
  '.xhtml': 'HTML',
  '.xml': 'XML',
  '.svg': 'XML',
  '.rtf': 'RTF'
}

/** The format that a name promises, if any. */
export const promisedBy = (name: string): string | undefined => PROMISED[extname(name).toLowerCase()]

function standIn(text: string, whole: boolean): TextKind | undefined {
  if (text.startsWith('version https://git-lfs.github.com/spec/')) {
    return kind('lfs-pointer', 'stand-in', 'a Git LFS pointer, not the file itself')
  }
  if (/^\/annex\/objects\/\S+\s*$/.test(text)) {
    return kind('annex-pointer', 'stand-in', 'a git-annex pointer, not the file itself')
  }
  if (!whole || text.length > 4096) return undefined
  const what = 'the error message of a server, not the file itself'
  if (isServerError(text)) return kind('json-error', 'stand-in', what)
  return PLAIN_ERRORS.some(error => error.test(text.trim())) ? kind('plain-error', 'stand-in', what) : undefined
}

const STATUS = '(?:http(?:/\\d(?:\\.\\d)?)? )?(?:error )?[45]\\d\\d(?: ?[:-] ?| )'
/** Reason phrases (RFC 9110, section 15). */
const PHRASES = [
  'bad request',
  'unauthorized',
  'forbidden',
  'access denied',
  'permission denied',
  'not found',
  'gone',
  'method not allowed',
  'too many requests',
  'internal server error',
  'bad gateway',
  'service (?:temporarily )?unavailable',
  '(?:gateway|request) time-?out'
].join('|')

/** Whole bodies of errors: of model hubs and code hosts, of web servers, of S3 and its kin (XML). */
const PLAIN_ERRORS: readonly RegExp[] = [
  /^(?:(?:entry|repository|repo|revision|file|page|resource|object|model) )?not found\.?$/i,
  new RegExp(`^(?:${STATUS})?(?:${PHRASES})\\.?$`, 'i'),
  /^invalid (?:username or password|credentials|token|api key)\b[^\n]{0,200}$/i,
  /^access to (?:model|dataset|repository) \S{1,200} is restricted\b[^\n]{0,400}$/i,
  /^(?:<\?xml[^>]{0,200}>\s*)?<Error(?: xmlns="[^"]{1,200}")?>\s*<Code>\w{1,100}<\/Code>[\s\S]*<\/Error>$/
]

const ERROR_NAMES = ['error', 'errors', 'message', 'detail']
const BESIDE_ERRORS = ['details', 'status', 'statusCode', 'code', 'title', 'type', 'documentation_url', 'request_id']

/** {"error": ...}, {"message": ..., "status": ...} and the like, with nothing else in it. */
function isServerError(text: string): boolean {
  const value = parsed(text)
  if (value === undefined || Array.isArray(value)) return false
  const names = Object.keys(value)
  if (!names.some(n => ERROR_NAMES.includes(n))) return false
  return names.every(n => ERROR_NAMES.includes(n) || BESIDE_ERRORS.includes(n))
}

const HTML = /^\s*(?:<\?xml[^>]*>\s*)?(?:<!--[\s\S]{0,4000}?-->\s*)*(?:<!doctype\s+html|<html[\s>])/i

function markup(text: string, ending: string): TextKind | undefined {
  const named = ['.html', '.htm', '.xhtml'].includes(ending) && /^\s*<[a-z!]/i.test(text)
  if (named || HTML.test(text)) {
    return isHubPage(text)
      ? kind('hub-page', 'stand-in', 'a web page about a file, not the file itself')
      : kind('html', 'markup', 'an HTML page')
  }
  if (/^\s*<\?xml[\s?]/.test(text)) return kind('xml', 'markup', 'an XML file')
  if (/^\s*<svg[\s>]/.test(text)) return kind('xml', 'markup', 'an SVG picture')
  if (/^\s*<mediawiki[\s>]/.test(text)) return kind('xml', 'markup', 'a MediaWiki dump (XML)')
  if (/^\{\\rtf\d/.test(text)) return kind('rtf', 'markup', 'an RTF document')
  return /^WARC\/\d\.\d\r?\n/.test(text) ? kind('warc', 'markup', 'a web archive (WARC)') : undefined
}

const HUB_LINK = /<(?:link|meta)[^>]{1,400}https:\/\/(?:huggingface\.co|hf\.co|github\.com|modelscope\.cn)\//i
const HUB_TITLE = /<title>[^<]{0,300}(?:Hugging ?Face|· GitHub|ModelScope)/i
const isHubPage = (html: string): boolean => HUB_LINK.test(html) || HUB_TITLE.test(html)

/** JSON Lines: at least two lines, each an object or array. JSON: only objects and arrays. */
function json(text: string, whole: boolean): TextKind | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined
  const lines = completeLines(text, whole)
  if (lines.length > 1 && lines.every(line => parsed(line) !== undefined)) {
    return kind('jsonl', 'records', 'a JSON Lines file')
  }
  return beginsAsJson(text, whole) ? kind('json', 'records', 'a JSON file') : undefined
}

const DEPTH = 512
/** The scan of the text continues after these faults. */
const HARMLESS: ReadonlySet<string> = new Set([
  'a name appears twice in one object',
  'a number is too large',
  'a string holds a control character or a wrong escape'
])

/** Whether the text is one object or array after another, up to its end or the cut. */
function beginsAsJson(text: string, whole: boolean): boolean {
  let rest = text
  for (let values = 0; values < 1000; values++) {
    if (!/^\s*[[{]/.test(rest)) return false
    let fault: { problem: string; index: number } | undefined
    walkJson(rest, { depth: DEPTH, loneSurrogates: true }, (problem, index) => {
      if (!HARMLESS.has(problem)) fault ??= { problem, index }
    })
    if (fault === undefined || fault.problem.startsWith('it is nested')) return true
    if (!whole && isCutOff(fault.problem, rest.slice(fault.index))) return true
    if (fault.problem !== 'something follows its end') return false
    rest = rest.slice(fault.index)
  }
  return true
}

/** Whether a fault is the end of the read text: in a string, in a word such as `true`, or between two values. */
const isCutOff = (problem: string, rest: string): boolean =>
  problem === 'a string does not end' || /^\s*-?[\w.+-]{0,24}$/.test(rest)

/** At most 1,000 lines that are not blank. The last line counts only if it is complete. */
function completeLines(text: string, whole: boolean): string[] {
  const lines = text.split('\n')
  if (!whole) lines.pop()
  return lines
    .map(line => line.trim())
    .filter(line => line !== '')
    .slice(0, 1000)
}

/** The object or array that a text is, else undefined. */
function parsed(text: string): object | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text) as object
  } catch {
    return undefined
  }
}

function table(text: string, whole: boolean, ending: string): TextKind | undefined {
  const separator = tableSeparator(text, whole, ending)
  if (separator === undefined) return undefined
  return separator === '\t' ? kind('tsv', 'records', 'a TSV file') : kind('csv', 'records', 'a CSV file')
}
