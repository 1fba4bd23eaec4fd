/**
 * What a tokenizer consists of, in the form that GGUF and tokenizer.json share, and the one gate through which every tokenizer
 * from outside passes: after `checkParts`, encoding and decoding can rely on each rule listed there.
 */
import { VeritError } from '../lib/errors.ts'
import type { ProblemList } from '../lib/problem-list.ts'
import { byteSpelling, unspell } from './bytes.ts'
import { PairIndex } from './pairs.ts'
import { pretokenizer } from './pretokenizer.ts'
import type { PretokenizerName } from './pretokenizer.ts'
import { TokenBytes } from './token-bytes.ts'

/** Token types, numbered as in GGUF's `tokenizer.ggml.token_type`. */
export const NORMAL = 1
/** A special token: matched in text only on request. */
export const CONTROL = 3
/** An added token that is matched in any text. */
export const USER_DEFINED = 4
/** A place without a token, such as a row that pads the embedding: no text encodes to it, and no answer holds it. */
export const UNUSED = 5

export interface TokenizerParts {
  /** By id. Normal tokens in the byte-to-character spelling ("Ġthe"), special and added ones as they read ("<|endoftext|>"). */
  tokens: readonly string[]
  /** By id: 1 normal, 3 control, 4 user-defined, 5 unused. */
  tokenTypes: readonly number[]
  /** "left right", spelled, in order of rank. */
  merges: readonly string[]
  /** 'gpt-2', 'smollm', 'llama-bpe', 'qwen2' or 'character': GGUF's `tokenizer.ggml.pre`. A character vocabulary may also say 'gpt-2' (see `checkParts`). */
  pretokenizer: string
  /** Id of the end-of-text token. Default: the control token `<|endoftext|>`, `<|end_of_text|>` or `</s>`, if there is one. */
  endOfText?: number | undefined
  /** Id of the token that stands before a text. Default: `endOfText`, as these vocabularies were trained. */
  beginOfText?: number | undefined
  /** Whether a text that is to be continued gets it in front. Default false. */
  addsBegin?: boolean | undefined
  /** Whether other programs put `endOfText` behind a text. Verit never does. Default false. */
  addsEnd?: boolean | undefined
}

export const MAX_TOKENS = 1 << 20
const MAX_MERGES = 1 << 21
export const MAX_TOKEN_LENGTH = 4096
/** Special and added tokens, and their characters together: they become a trie, which takes memory for each character. */
export const MAX_SPECIALS = 16_384
const MAX_SPECIAL_CHARACTERS = 1 << 18

/** Parts that were checked, with what was worked out on the way. */
export interface CheckedParts {
  tokens: readonly string[]
  tokenTypes: readonly number[]
  pretokenizer: PretokenizerName
  /** Bytes of each token. */
  bytes: TokenBytes
  /** Id of each token by its spelling. */
  ids: Map<string, number>
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

/** Bytes that UTF-8 never has need no token, and in some vocabularies have none. */
const inUtf8 = (byte: number): boolean => byte < 0xc0 || (byte > 0xc1 && byte < 0xf5)

function isOneCharacter(bytes: Uint8Array): boolean {
  try {
    const text = decoder.decode(bytes)
    return text.length > 0 && text.length === (text.codePointAt(0)! > 0xffff ? 2 : 1)
  } catch {
    return false
  }
}

/** Bytes of a token that spells none, when faults are collected. */
const NONE = new Uint8Array(0)

/**
 * Checks every rule that encoding relies on: tokens are distinct and not empty, normal ones spell bytes, each merge joins two
 * normal tokens into a third and occurs once, and either all single bytes of UTF-8 are tokens (any text can be encoded) or the
 * vocabulary is one of characters (no merges, one character a token; recognised by that when the pre-tokenizer says 'gpt-2').
 * @param source file or key that is named in errors.
 * @param found collects what is wrong with single tokens and merges; default: the first fault is thrown. The result is of use when there is none.
 * @throws VeritError VERIT_TOKENIZER_FILE
 */
export function checkParts(parts: TokenizerParts, source: string, found?: ProblemList): CheckedParts {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_TOKENIZER_FILE', { source, problem })
  }
  const flag = (problem: string): void => (found === undefined ? refuse(problem) : found.add(problem))
  const { tokens, tokenTypes, merges } = parts
  if (tokens.length === 0 || tokens.length > MAX_TOKENS) refuse(`it has ${tokens.length} tokens, where 1 to ${MAX_TOKENS} are allowed`)
  if (tokenTypes.length !== tokens.length) refuse(`it has ${tokens.length} tokens but ${tokenTypes.length} token types`)
  if (merges.length > MAX_MERGES) refuse(`it has ${merges.length} merges, where ${MAX_MERGES} are allowed`)

  const ids = new Map<string, number>()
  const bytes = new TokenBytes(tokens.length)
  let characters = true
  let specials = 0, specialCharacters = 0
  for (let id = 0; id < tokens.length; id++) {
    const token = tokens[id]!
    if (typeof token !== 'string' || token.length === 0 || token.length > MAX_TOKEN_LENGTH) flag(`token ${id} is empty or too long`)
    if (ids.has(token)) flag(`tokens ${ids.get(token)} and ${id} are both ${JSON.stringify(token)}`)
    ids.set(token, id)
    const type = tokenTypes[id]
    if (type === NORMAL) {
      const b = unspell(token)
      if (b === undefined) flag(`token ${id} (${JSON.stringify(token)}) holds a character that spells no byte`)
      bytes.push(b ?? NONE)
      characters &&= b !== undefined && isOneCharacter(b)
    } else if (type === UNUSED) {
      if (!token.isWellFormed()) flag(`token ${id} is not well-formed Unicode`)
      bytes.push(encoder.encode(token))
    } else if (type === CONTROL || type === USER_DEFINED) {
      if (!token.isWellFormed()) flag(`token ${id} is not well-formed Unicode`)
      bytes.push(encoder.encode(token))
      specialCharacters += token.length
      if (++specials > MAX_SPECIALS || specialCharacters > MAX_SPECIAL_CHARACTERS) {
        refuse(`it has more than ${MAX_SPECIALS} special and added tokens, or ${MAX_SPECIAL_CHARACTERS} characters in them`)
      }
    } else flag(`token ${id} has type ${String(type)}, where 1 (normal), 3 (control), 4 (user-defined) and 5 (unused) are known`)
  }
  const isNormal = (token: string): boolean => tokenTypes[ids.get(token) ?? -1] === NORMAL
  const missing = byteSpelling.findIndex((s, byte) => inUtf8(byte) && !isNormal(s))

  let name = pretokenizer(parts.pretokenizer)?.name
    ?? refuse(`its pre-tokenizer ${JSON.stringify(parts.pretokenizer).slice(0, 80)} is not one that Verit knows`)
  if (name === 'gpt-2' && merges.length === 0 && missing >= 0) name = 'character'
  if (name === 'character') {
    if (merges.length > 0 || !characters) refuse('it splits text into characters, but has merges or a token of more than one character')
    if (!tokenTypes.includes(NORMAL)) refuse('it has no character')
  } else if (missing >= 0) flag(`no token stands for the byte ${missing}, so that not every text could be encoded`)

  const pairs = new PairIndex(merges.length)
  const results = new Int32Array(merges.length)
  for (let rank = 0; rank < merges.length; rank++) {
    const merge = merges[rank]!
    const space = typeof merge === 'string' ? merge.indexOf(' ') : -1
    const left = merge.slice(0, Math.max(0, space))
    const right = merge.slice(space + 1)
    if (space < 0 || !isNormal(left) || !isNormal(right) || !isNormal(left + right)) {
      flag(`merge ${rank} (${JSON.stringify(merge).slice(0, 80)}) does not join two tokens into a third`)
      continue
    }
    const next = pairs.size
    if (pairs.add(ids.get(left)!, ids.get(right)!) !== next) flag(`merge ${rank} (${JSON.stringify(merge).slice(0, 80)}) occurs twice`)
    results[rank] = ids.get(left + right)!
  }

  let endOfText = parts.endOfText
  if (endOfText === undefined) {
    endOfText = ['<|endoftext|>', '<|end_of_text|>', '</s>'].map(t => ids.get(t)).find(id => id !== undefined && tokenTypes[id] === CONTROL)
  } else if (!Number.isInteger(endOfText) || endOfText < 0 || endOfText >= tokens.length) {
    flag(`its end-of-text token ${endOfText} is not one of its ${tokens.length} tokens`)
  }
  const beginOfText = parts.beginOfText ?? endOfText
  if (beginOfText !== undefined && !(Number.isInteger(beginOfText) && beginOfText >= 0 && beginOfText < tokens.length)) {
    refuse(`its begin-of-text token ${beginOfText} is not one of its ${tokens.length} tokens`)
  }
  if (parts.addsBegin === true && beginOfText === undefined) refuse('it wants a token before each text, and names none')
  return { tokens, tokenTypes, pretokenizer: name, bytes, ids, pairs, results, endOfText, beginOfText, addsBegin: parts.addsBegin === true, addsEnd: parts.addsEnd === true }
}
