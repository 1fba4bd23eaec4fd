/**
 * SentencePiece's BPE as a `tokenizer.json` of Hugging Face's tokenizers, both ways: spaces are U+2581, characters
 * without a piece become bytes. The file has merges in order of rank where SentencePiece has scores. Both give the same
 * ids, because a merge ranks as the score of the piece that it makes.
 */
import { VeritError } from '../lib/errors.ts'
import { CONTROL, NORMAL, UNUSED, USER_DEFINED } from './parts.ts'
import { BYTE, byteOfPiece, SPACE_MARK, UNKNOWN } from './sentencepiece-parts.ts'
import type { SentencePieceParts } from './sentencepiece-parts.ts'

const replaceSpaces = { type: 'Replace', pattern: { String: ' ' }, content: SPACE_MARK }

/** JSON text of a tokenizer. */
export function sentencePieceToJson(parts: SentencePieceParts): string {
  const { pieces, types, addDummyPrefix, unknown } = parts
  const named = new Set<string>()
  const used = 1 + Array.from(types).findLastIndex(type => type !== UNUSED)
  const names = pieces
    .slice(0, used)
    .map((piece, id) => (named.size < named.add(piece).size ? piece : `[DUPLICATE_${id}]`))
  const added = names.flatMap((content, id) =>
    types[id] === CONTROL || types[id] === USER_DEFINED || types[id] === UNUSED || types[id] === UNKNOWN
      ? [
          {
            id,
            content: types[id] === USER_DEFINED ? content.replaceAll(SPACE_MARK, ' ') : content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: types[id] !== USER_DEFINED
          }
        ]
      : []
  )
  const normalizer = addDummyPrefix
    ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: SPACE_MARK }, replaceSpaces] }
    : replaceSpaces
  const decoders = [
    { type: 'Replace', pattern: { String: SPACE_MARK }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    ...(addDummyPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [])
  ]
  const lines = (rows: readonly string[], close: string): string =>
    rows.length === 0 ? close : `\n${rows.join(',\n')}\n${close}`
  return `{
"version": "1.0",
"truncation": null,
"padding": null,
"added_tokens": [${lines(
    added.map(a => JSON.stringify(a)),
    ']'
  )},
"normalizer": ${JSON.stringify(normalizer)},
"pre_tokenizer": null,
"post_processor": null,
"decoder": ${JSON.stringify({ type: 'Sequence', decoders })},
"model": {
"type": "BPE",
"dropout": null,
"unk_token": ${JSON.stringify(unknown === undefined ? null : pieces[unknown])},
"continuing_subword_prefix": null,
"end_of_word_suffix": null,
"fuse_unk": true,
"byte_fallback": true,
"ignore_merges": false,
"vocab": {${lines(
    names.map((piece, id) => `${JSON.stringify(piece)}: ${id}`),
    '}'
  )},
"merges": [${lines(
    mergesOf(parts, names).map(pair => JSON.stringify(pair)),
    ']'
  )}
}
}
`
}

/** Every pair of pieces that makes a piece, those that are merged first in front. */
function mergesOf({ types, scores, merges }: SentencePieceParts, names: readonly string[]): string[][] {
  if (merges !== undefined)
    return merges.map(merge => {
      const space = merge.indexOf(' ', 1)
      return [merge.slice(0, space), merge.slice(space + 1)]
    })
  const ids = new Map(names.map((name, id) => [name, id]))
  const normal = (id: number | undefined): id is number => id !== undefined && types[id] === NORMAL
  const found: { score: number; id: number; left: number; right: number }[] = []
  for (const [id, name] of names.entries()) {
    if (types[id] !== NORMAL) continue
    for (let at = 1; at < name.length; at++) {
      const left = ids.get(name.slice(0, at))
      const right = ids.get(name.slice(at))
      if (normal(left) && normal(right)) found.push({ score: scores[id]!, id, left, right })
    }
  }
  found.sort((a, b) => b.score - a.score || a.id - b.id || a.left - b.left)
  return found.map(({ left, right }) => [names[left]!, names[right]!])
}

type Json = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Whether a checked tokenizer.json is SentencePiece's BPE. */
export const isSentencePieceJson = (root: Json): boolean =>
  isObject(root['model']) && root['model']['type'] === 'BPE' && root['model']['byte_fallback'] === true

/**
 * The parts of a tokenizer.
 * @param root content of a file whose JSON was checked
 * @throws VeritError VERIT_TOKENIZER_FILE for anything that would give other ids
 */
export function sentencePieceFromJson(root: Json, source: string): SentencePieceParts {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_TOKENIZER_FILE', { source, problem })
  }
  const model = root['model'] as Json
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix', 'dropout'])
    if (model[key]) refuse(`its model uses ${key}, which SentencePiece does not have`)
  for (const key of ['truncation', 'padding']) if (root[key]) refuse(`it has ${key}, which Verit leaves to the caller`)
  const vocabulary = model['vocab']
  const merges = model['merges']
  if (!isObject(vocabulary) || !Array.isArray(merges)) return refuse('its model has no vocabulary or no merges')
  const pieces: string[] = []
  const types: number[] = []
  for (const [piece, id] of Object.entries(vocabulary)) {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= 1 << 21)
      return refuse(`the id of the piece ${JSON.stringify(piece).slice(0, 80)} is not a whole number below ${1 << 21}`)
    if (pieces[id] !== undefined) return refuse(`two pieces share the id ${id}`)
    pieces[id] = piece
    types[id] = byteOfPiece(piece) >= 0 ? BYTE : NORMAL
  }
  readAdded(root['added_tokens'], pieces, types, refuse)
  const unknown = typeof model['unk_token'] === 'string' ? pieces.indexOf(model['unk_token']) : -1
  if (unknown >= 0) types[unknown] = UNKNOWN
  const gap = Array.from(pieces).findIndex(piece => piece === undefined)
  if (gap >= 0) refuse(`its ids have a gap: no piece has the id ${gap}`)
  const { begin, end } = aroundText(root['post_processor'], pieces, refuse)
  return {
    pieces,
    scores: scoresOf(merges, pieces, refuse),
    types,
    byteFallback: true,
    addDummyPrefix: readSpaces(root, refuse),
    removeExtraWhitespaces: false,
    escapeWhitespaces: true,
    unknown: unknown < 0 ? undefined : unknown,
    unknownSurface: ' \u2047 ',
    beginOfText: begin,
    endOfText: end,
    addsBegin: begin !== undefined
  }
}

type Refuse = (problem: string) => never

function readAdded(added: unknown, pieces: string[], types: number[], refuse: Refuse): void {
  if (added === undefined) return
  if (!Array.isArray(added)) return refuse('its added_tokens are not a list')
  for (const entry of added as unknown[]) {
    const { id, content, special } = isObject(entry) ? entry : {}
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= 1 << 21 || typeof content !== 'string')
      return refuse('an added token has no id or no content')
    const spelled = special === true ? content : content.replaceAll(' ', SPACE_MARK)
    if (pieces[id] !== undefined && pieces[id] !== content && pieces[id] !== spelled)
      refuse(`the added token ${id} is not the piece of that id`)
    pieces[id] = spelled
    types[id] = special === true ? CONTROL : USER_DEFINED
  }
}

/** Whether a space is put before a text, by the normalizer or the pre-tokenizer. */
function readSpaces(root: Json, refuse: Refuse): boolean {
  const listOf = (value: unknown, key: string): unknown[] => {
    if (value === null || value === undefined) return []
    return isObject(value) && value['type'] === 'Sequence' ? (value[key] as unknown[]) : [value]
  }
  let prefix = false
  let escaped = false
  for (const step of listOf(root['normalizer'], 'normalizers')) {
    const { type, prepend, pattern, content } = isObject(step) ? step : {}
    if (type === 'Prepend' && prepend === SPACE_MARK) prefix = true
    else if (type === 'Replace' && isObject(pattern) && pattern['String'] === ' ' && content === SPACE_MARK)
      escaped = true
    else refuse('its normalizer rewrites text otherwise than SentencePiece')
  }
  for (const step of listOf(root['pre_tokenizer'], 'pretokenizers')) {
    const { type, replacement, prepend_scheme: scheme, split, behavior, pattern } = isObject(step) ? step : {}
    if (type === 'Metaspace' && replacement === SPACE_MARK && split !== true) {
      escaped = true
      if (scheme === 'first' || scheme === 'always') prefix = true
    } else if (
      !(type === 'Split' && behavior === 'MergedWithPrevious' && isObject(pattern) && pattern['String'] === ' ')
    )
      refuse('its pre-tokenizer cuts text otherwise than SentencePiece')
  }
  if (!escaped) refuse('it does not replace spaces by U+2581')
  return prefix
}

/** Scores in the order of the merges: a piece ranks as the first merge that makes it. */
function scoresOf(merges: readonly unknown[], pieces: readonly string[], refuse: Refuse): Float32Array {
  const ids = new Map(pieces.map((piece, id) => [piece, id]))
  const scores = new Float32Array(pieces.length).fill(-1e9)
  let rank = 0
  for (const merge of merges) {
    const pair: unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : []
    const made = pair.length === 2 ? ids.get(`${String(pair[0])}${String(pair[1])}`) : undefined
    if (made === undefined) return refuse(`merge ${rank} does not make a piece of two others`)
    if (scores[made] === -1e9) scores[made] = -rank++
  }
  return scores
}

/** Pieces that a TemplateProcessing puts before and behind a text. */
function aroundText(
  value: unknown,
  pieces: readonly string[],
  refuse: Refuse
): { begin: number | undefined; end: number | undefined } {
  if (value === null || value === undefined) return { begin: undefined, end: undefined }
  const single = isObject(value) && value['type'] === 'TemplateProcessing' ? value['single'] : undefined
  if (!Array.isArray(single)) return refuse('its post_processor is not a TemplateProcessing')
  const names = single.map((step: unknown) => {
    const { SpecialToken: token } = isObject(step) ? step : {}
    return isObject(token) ? String(token['id']) : undefined
  })
  const text = names.indexOf(undefined)
  if (text < 0 || text > 1 || names.length - text > 2)
    return refuse('its post_processor adds other tokens than one before and one behind a text')
  const idOf = (name: string | undefined): number | undefined => {
    const id = name === undefined ? -1 : pieces.indexOf(name)
    return id < 0 ? undefined : id
  }
  return { begin: idOf(text === 1 ? names[0] : undefined), end: idOf(names[text + 1]) }
}
