/**
 * Makes text from a file, a model or a client safe to print: control characters (ANSI sequences, line breaks),
 * direction marks and other invisible or unassigned characters become visible escapes, so that a name can neither move
 * the cursor nor imitate another line.
 */

const UNSAFE = /[\p{C}\p{Zl}\p{Zp}\\]/gu
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' }

/**
 * Escapes text; longer than `limit` UTF-16 units (default no limit), it is cut and its full length in characters noted.
 */
export function printable(text: string, limit = Infinity): string {
  const cut = text.length > limit ? text.slice(0, limit) : text
  const safe = cut.replace(UNSAFE, c => SHORT[c] ?? `\\u{${c.codePointAt(0)!.toString(16)}}`)
  return cut === text ? safe : `${safe}… (${text.length.toLocaleString('en-US')} characters)`
}

/**
 * JSON in one line that is just as safe to print: the same characters stand as \\uXXXX, so that a parser reads the same
 * value.
 */
export function printableJson(value: unknown): string {
  const escape = (c: string): string =>
    Array.from({ length: c.length }, (_, i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')
  return JSON.stringify(value).replace(UNSAFE, c => (c === '\\' ? c : escape(c)))
}
