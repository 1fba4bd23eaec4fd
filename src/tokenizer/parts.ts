/**
 * The parts of a tokenizer, in the form that GGUF and tokenizer.json share, and the one check for every tokenizer from
 * outside: after `checkParts`, encoding and decoding rely on each rule listed there.
 */
import { VeritError } from '../lib/errors.ts'
import type { ProblemList } from '../lib/problem-list.ts'
import { byteSpelling } from './bytes.ts'
import { PairIndex } from './pairs.ts'
import { pretokenizer } from './pretokenizer.ts'
import type { PretokenizerName } from './pretokenizer.ts'
import { TokenBytes } from './token-bytes.ts'
import { TokenIds } from './token-ids.ts'

/** Token types, numbered as in GGUF's `tokenizer.ggml.token_type`. */
export const NORMAL = 1
/** A special token: matched in text only on request. */
export const CONTROL = 3
/** An added token that is matched in any text. */
export const USER_DEFINED = 4
/** A place without a token, such as a row that pads the embedding: no text encodes to it, and no answer holds it. */
export const UNUSED = 5

export interface TokenizerParts {
  /**
   * By id. Normal tokens in the byte-to-character spelling ("Ġthe"), special and added ones as they read
   * ("<|endoftext|>").
   */
  tokens: readonly string[]
  /** By id: 1 normal, 3 control, 4 user-defined, 5 unused. */
  tokenTypes: readonly number[]
  /** "left right", spelled, in order of rank. */
  merges: readonly string[]
  /**
   * A name of the table in pretokenizer.ts: GGUF's `tokenizer.ggml.pre`. A character vocabulary may also have 'gpt-2'
   * (see `checkParts`).
   */
  pretokenizer: string
  /**
   * Id of the end-of-text token. Default: the control token `<|endoftext|>`, `<|end_of_text|>` or `</s>`, if there is
   * one.
   */
  endOfText?: number | undefined
  /** Id of the token that stands before a text. Default: `endOfText`, as these vocabularies were trained. */
  beginOfText?: number | undefined
  /** Whether prompts begin with it. Default false. */
  addsBegin?: boolean | undefined
  /** Whether other programs put `endOfText` behind a text. Verit never does. Default false. */
  addsEnd?: boolean | undefined
}

export const MAX_TOKENS = 1 << 20
const MAX_MERGES = 1 << 21
export const MAX_TOKEN_LENGTH = 4096
/**
 * Special and added tokens, and their characters together: they become a trie, which takes memory for each character.
 */
export const MAX_SPECIALS = 16_384
const MAX_SPECIAL_CHARACTERS = 1 << 18

/** Checked parts, with derived data. */
export interface CheckedParts {
  tokens: readonly string[]
  tokenTypes: readonly number[]
  pretokenizer: PretokenizerName
  /** Bytes of each token. */
  bytes: TokenBytes
  /** Id of each token by its spelling: the first where several are spelled alike. */
  ids: TokenIds
  /** Merges by rank, as ids, and the token each makes. */
  pairs: PairIndex
  results: Int32Array
  endOfText: number | undefined
  beginOfText: number | undefined
  addsBegin: boolean
  addsEnd: boolean
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Bytes without which no vocabulary is of use. Some in use lack others: those that UTF-8 never has, control characters,
 * and those that begin characters of the high planes. Text that holds such a character is refused.
 */
const isNeeded = (byte: number): boolean =>
  (byte >= 0x20 && byte < 0x7f) ||
  (byte >= 0x80 && byte < 0xf1 && byte !== 0xc0 && byte !== 0xc1) ||
  byte === 9 ||
  byte === 10 ||
  byte === 13

function isOneCharacter(bytes: Uint8Array): boolean {
  try {
    const text = decoder.decode(bytes)
    return text.length > 0 && text.length === (text.codePointAt(0)! > 0xffff ? 2 : 1)
  } catch {
    return false
  }
}

/**
 * Checks every rule that encoding relies on: tokens are not empty, each merge joins two tokens into a third, and either
 * all single bytes of text are tokens (any text can be encoded) or the vocabulary is one of characters (no merges, one
 * character a token; recognised so if the pre-tokenizer is 'gpt-2').
 * @param source file or key in errors
 * @param found collects problems of single tokens and merges; default: the first one is thrown. The result is usable if
 *   there are none.
 * @throws VeritError VERIT_TOKENIZER_FILE
 */
export function checkParts(parts: TokenizerParts, source: string, found?: ProblemList): CheckedParts {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_TOKENIZER_FILE', { source, problem })
  }
  const flag = (problem: string): void => (found === undefined ? refuse(problem) : found.add(problem))
  const { tokens, tokenTypes, merges } = parts
  if (tokens.length === 0 || tokens.length > MAX_TOKENS)
    refuse(`it has ${tokens.length} tokens, where 1 to ${MAX_TOKENS} are allowed`)
  if (tokenTypes.length !== tokens.length) refuse(`it has ${tokens.length} tokens but ${tokenTypes.length} token types`)
  if (merges.length > MAX_MERGES) refuse(`it has ${merges.length} merges, where ${MAX_MERGES} are allowed`)

  const ids = new TokenIds(tokens)
  const bytes = new TokenBytes(tokens.length)
  let characters = true
  let specials = 0
  let specialCharacters = 0
  for (let id = 0; id < tokens.length; id++) {
    const token = tokens[id]!
    if (typeof token !== 'string' || token.length === 0 || token.length > MAX_TOKEN_LENGTH)
      flag(`token ${id} is empty or too long`)
    const type = tokenTypes[id]
    if (type === NORMAL) {
      // A token of other characters comes out of no text; as other programs do, it is decoded to itself.
      const spelled = bytes.pushSpelled(token)
      if (!spelled) bytes.push(encoder.encode(token))
      characters &&= spelled && isOneCharacter(bytes.at(id)!)
    } else if (type === UNUSED) {
      if (!token.isWellFormed()) flag(`token ${id} is not well-formed Unicode`)
      bytes.push(encoder.encode(token))
    } else if (type === CONTROL || type === USER_DEFINED) {
      if (!token.isWellFormed()) flag(`token ${id} is not well-formed Unicode`)
      bytes.push(encoder.encode(token))
      specialCharacters += token.length
      if (++specials > MAX_SPECIALS || specialCharacters > MAX_SPECIAL_CHARACTERS) {
        refuse(
          `it has more than ${MAX_SPECIALS} special and added tokens, or ${MAX_SPECIAL_CHARACTERS} characters in them`
        )
      }
    } else
      flag(
        `token ${id} has type ${String(type)}, where 1 (normal), 3 (control), 4 (user-defined) and 5 (unused) are ` +
          'known in byte-level BPE'
      )
  }
  const isNormal = (token: string): boolean => tokenTypes[ids.get(token) ?? -1] === NORMAL
  const missing = byteSpelling.findIndex((s, byte) => isNeeded(byte) && !isNormal(s))

  let name =
    pretokenizer(parts.pretokenizer)?.name ??
    refuse(`its pre-tokenizer ${JSON.stringify(parts.pretokenizer).slice(0, 80)} is not one that Verit knows`)
  if (name === 'gpt-2' && merges.length === 0 && missing >= 0) name = 'character'
  if (name === 'character') {
    if (merges.length > 0 || !characters)
      refuse('it splits text into characters, but has merges or a token of more than one character')
    if (!tokenTypes.includes(NORMAL)) refuse('it has no character')
  } else if (missing >= 0) flag(`no token stands for the byte ${missing}, so that not every text could be encoded`)

  const { pairs, results } = readMerges(merges, ids, tokenTypes, bytes, flag)

  let endOfText = parts.endOfText
  if (endOfText === undefined) {
    endOfText = ['<|endoftext|>', '<|end_of_text|>', '</s>']
      .map(t => ids.get(t))
      .find(id => id !== undefined && tokenTypes[id] === CONTROL)
  } else if (!Number.isInteger(endOfText) || endOfText < 0 || endOfText >= tokens.length) {
    flag(`its end-of-text token ${endOfText} is not one of its ${tokens.length} tokens`)
  }
  const beginOfText = parts.beginOfText ?? endOfText
  if (
    beginOfText !== undefined &&
    !(Number.isInteger(beginOfText) && beginOfText >= 0 && beginOfText < tokens.length)
  ) {
    refuse(`its begin-of-text token ${beginOfText} is not one of its ${tokens.length} tokens`)
  }
  if (parts.addsBegin === true && beginOfText === undefined) refuse('it wants a token before each text, and names none')
  return {
    tokens,
    tokenTypes,
    pretokenizer: name,
    bytes,
    ids,
    pairs,
    results,
    endOfText,
    beginOfText,
    addsBegin: parts.addsBegin === true,
    addsEnd: parts.addsEnd === true
  }
}

/**
 * Merges as pairs of ids, by rank. Of merges of one pair, the first counts. One that makes a special or unused token,
 * or one of other bytes, is left out: text must never become such a token.
 */
function readMerges(
  merges: readonly string[],
  ids: TokenIds,
  tokenTypes: readonly number[],
  bytes: TokenBytes,
  flag: (problem: string) => void
): { pairs: PairIndex; results: Int32Array } {
  const pairs = new PairIndex(merges.length)
  const results = new Int32Array(merges.length)
  for (let rank = 0; rank < merges.length; rank++) {
    const merge = merges[rank]!
    const space = typeof merge === 'string' ? merge.indexOf(' ', 1) : -1
    const left = space < 0 ? -1 : ids.find(merge, 0, space)
    const right = space < 0 ? -1 : ids.find(merge, space + 1, merge.length)
    const result = left < 0 || right < 0 ? -1 : ids.joined(left, right)
    if (result < 0) {
      flag(`merge ${rank} (${JSON.stringify(merge).slice(0, 80)}) does not join two tokens into a third`)
      continue
    }
    const type = tokenTypes[result]
    if (type !== NORMAL && (type !== USER_DEFINED || bytes.length(result) !== bytes.length(left) + bytes.length(right)))
      continue
    const next = pairs.size
    if (pairs.add(left, right) === next) results[next] = result
  }
  return { pairs, results }
}
