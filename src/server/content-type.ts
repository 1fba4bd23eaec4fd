/**
 * Whether a Content-Type announces JSON in UTF-8. Parameters that JSON does not define are ignored (RFC 2045 section 1;
 * RFC 8259 section 11).
 */

/**
 * RFC 9110 section 5.6.6: each parameter is a name and a token or a quoted text; one between two semicolons may be
 * missing.
 */
const PARAMETER =
  /[ \t]*;[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)"))?/y
const JSON_TYPE = 'application/json'
/** Names of UTF-8, and of its subset. */
const UTF8 = new Set(['utf-8', 'utf8', 'us-ascii'])

/** The problem of a Content-Type; undefined for JSON in UTF-8. */
export function contentTypeProblem(header: string | undefined): string | undefined {
  const text = header?.trim() ?? ''
  if (text.slice(0, JSON_TYPE.length).toLowerCase() !== JSON_TYPE) return 'its Content-Type is not application/json'
  let charset: string | undefined
  PARAMETER.lastIndex = JSON_TYPE.length
  while (PARAMETER.lastIndex < text.length) {
    const match = PARAMETER.exec(text)
    if (match === null) return 'its Content-Type is not application/json, or its parameters are malformed'
    const [, name, token, quoted] = match
    if (name?.toLowerCase() !== 'charset') continue
    if (charset !== undefined) return 'its Content-Type has more than one charset'
    charset = token ?? quoted!.replaceAll(/\\(.)/g, '$1')
    if (!UTF8.has(charset.toLowerCase())) return 'its charset is not UTF-8'
  }
  return undefined
}
