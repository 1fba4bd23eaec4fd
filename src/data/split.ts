/**
 * Which side of the train/validation split a document is on. By content: a hash of the document's key and the seed
 * decides, so that the same text is never on both sides, whatever else is in the corpus. By position (tail): the last
 * share of the characters.
 */
import { createHash } from 'node:crypto'

export type SplitName = 'train' | 'validation'
export type SplitRule = 'content' | 'tail'

/**
 * Content splitting is the default when this many documents are expected on the validation side; with fewer, one side
 * may stay empty.
 */
export const EXPECTED_VALIDATION_DOCUMENTS = 20

/**
 * The side of a document by content: validation when the first 48 bits of SHA-256("verit-split-1", seed, key) are below
 * share.
 * @param key 32 bytes from `DocumentKey`.
 * @param seed whole number.
 * @param share of validation, 0 to 1.
 */
export function contentSide(key: Uint8Array, seed: number, share: number): SplitName {
  const digest = createHash('sha256').update(`verit-split-1\0${seed}\0`).update(key).digest()
  return digest.readUIntBE(0, 6) < share * 2 ** 48 ? 'validation' : 'train'
}

/** Characters (code points) of the train side when `total` are split by position: floor(total * (1 - share)). */
export function tailTrainCharacters(total: number, share: number): number {
  return Math.floor(total * (1 - share))
}

/** Number of Unicode characters (code points) in well-formed text. */
export function countCharacters(text: string): number {
  let n = text.length
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) n--
  return n
}

/** Index in UTF-16 units after the first `characters` characters of well-formed text. */
export function characterIndex(text: string, characters: number): number {
  let i = 0
  for (let n = 0; n < characters; n++) i += (text.charCodeAt(i) & 0xfc00) === 0xd800 ? 2 : 1
  return i
}
