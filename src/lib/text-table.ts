/** Recognises tables in text form: CSV (RFC 4180) with commas or semicolons, and tab-separated values. */

/** Rows that a table needs if the file name gives no hint. */
const LEAST_ROWS = 5
/** Number of rows inspected. */
const MOST_ROWS = 200

/**
 * The separator of a table; undefined for other text. Every row must have the same number of fields. In addition, the
 * name ends in .csv or .tsv, or the first row names columns and at least one column holds only numbers or dates.
 * @param text the beginning of the file
 * @param whole whether that is all of it
 * @param ending of the name, in lower case
 */
export function tableSeparator(text: string, whole: boolean, ending: string): ',' | ';' | '\t' | undefined {
  const named = ['.csv', '.tsv', '.tab'].includes(ending)
  const own = ending === '.csv' ? ',' : '\t'
  for (const separator of ['\t', ',', ';'] as const) {
    const rows = readRows(text, whole, separator)
    if (rows === undefined || rows.length < 2) continue
    const columns = rows[0]!.length
    if (rows.some(row => row.length !== columns)) continue
    // One column of quoted text has no separator to show.
    if (named && (columns > 1 || (separator === own && text.includes('"')))) return separator
    if (columns > 1 && rows.length > LEAST_ROWS && hasHeader(rows)) return separator
  }
  return undefined
}

/** The first complete rows; undefined if quotes are misplaced. */
function readRows(text: string, whole: boolean, separator: string): string[][] | undefined {
  const rows: string[][] = []
  let row: string[] = []
  for (let i = 0; i < text.length && rows.length < MOST_ROWS;) {
    const quoted = text[i] === '"'
    const end = quoted ? closingQuote(text, i + 1) : fieldEnd(text, i, separator)
    if (end < 0) return whole ? undefined : rows
    row.push(text.slice(quoted ? i + 1 : i, end))
    i = quoted ? end + 1 : end
    if (text[i] === separator) {
      i++
      continue
    }
    const line = text[i] === '\n' || text[i] === '\r'
    if (!line && i < text.length) return undefined
    if (!line && !whole) break
    if (row.length > 1 || row[0] !== '') rows.push(row)
    row = []
    i += text.startsWith('\r\n', i) ? 2 : 1
  }
  return rows
}

/** Position of the quote that ends a field; two quotes stand for one. -1: none. */
function closingQuote(text: string, from: number): number {
  for (let i = text.indexOf('"', from); i >= 0; i = text.indexOf('"', i + 2)) if (text[i + 1] !== '"') return i
  return -1
}

function fieldEnd(text: string, from: number, separator: string): number {
  let i = from
  while (i < text.length && text[i] !== separator && text[i] !== '\n' && text[i] !== '\r') i++
  return i
}

const COLUMN = /^[\p{L}_][\p{L}\p{N}_ .()/-]{0,60}$/u
const NUMBER_OR_DATE = /^[+-]?\d[\d.,:/ TZ%-]*$/

function hasHeader([header, ...rows]: string[][]): boolean {
  if (header === undefined || new Set(header).size !== header.length) return false
  if (!header.every(name => COLUMN.test(name))) return false
  return header.some((_, i) => rows.every(row => NUMBER_OR_DATE.test(row[i]!.trim())))
}
