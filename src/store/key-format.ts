/**
 * API keys as text: `verit_`, 43 base-62 digits of 256 random bits, `_`, 6 base-62 digits of a checksum. The prefix
 * lets secret scanners find a leaked key; the checksum lets a program tell a mistyped key without asking the store.
 * Neither adds to its strength: the 256 bits do.
 */
import { createHash, randomBytes } from 'node:crypto'

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const KEY = /^verit_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})$/
/** Length in characters of every key. */
export const KEY_LENGTH = 56

function base62(bytes: Uint8Array, digits: number): string {
  let n = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  let text = ''
  for (let i = 0; i < digits; i++) {
    text = DIGITS[Number(n % 62n)]! + text
    n /= 62n
  }
  return text
}

const checksum = (body: string): string =>
  base62(createHash('sha256').update(`verit key ${body}`).digest().subarray(0, 8), 6)

/** A new key from 256 bits of the system's generator. */
export function newKey(): string {
  return withChecksum(base62(randomBytes(32), 43))
}

/** The key with a body of 43 base-62 digits. */
export function withChecksum(body: string): string {
  return `verit_${body}_${checksum(body)}`
}

/** Whether text has a key's form and checksum, letter case included. Says nothing of whether the key exists. */
export function isKey(text: string): boolean {
  const match = text.length === KEY_LENGTH ? KEY.exec(text) : null
  return match !== null && checksum(match[1]!) === match[2]
}

/** Whether text has the form of a key's public id. */
export const isKeyId = (text: string): boolean => /^key_[0-9a-f]{12}$/.test(text)

/** Whether text has the form of a credential's id: its key's, a dot and a number from 1. */
export const isCredentialId = (text: string): boolean => /^key_[0-9a-f]{12}\.[1-9][0-9]{0,8}$/.test(text)
