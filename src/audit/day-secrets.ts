/**
 * Commitments to texts: `sha256-hmac:` and HMAC-SHA-256 of the text under the salt of its entry. The salt is
 * HMAC-SHA-256 of the entry's index (8 bytes, big-endian) under the secret of the day, 32 random bytes in
 * `salts/2026-11-22`. Only holders of the secret can check a guess of a text; once it is deleted, nobody can.
 */
import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { replaceFile, syncFolder } from '../lib/replace-file.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import type { Commitment, RequestTexts } from './entry.ts'

const BYTES = 32

/** The day of an entry's time: `2026-11-22`. */
export const dayOf = (time: string): string => time.slice(0, 10)
export const isDay = (name: string): boolean => /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(name)

/** The salt of an entry. */
function saltOf(daySecret: KeyObject, index: number): KeyObject {
  const place = Buffer.alloc(8)
  place.writeBigUInt64BE(BigInt(index))
  return createSecretKey(createHmac('sha256', daySecret).update(place).digest())
}

const under = (salt: KeyObject, text: string): Commitment =>
  `sha256-hmac:${createHmac('sha256', salt).update(text, 'utf8').digest('hex')}`

export const commitmentTo = (text: string, daySecret: KeyObject, index: number): Commitment =>
  under(saltOf(daySecret, index), text)

export function commitmentsTo(
  { prompt, answer }: RequestTexts,
  daySecret: KeyObject,
  index: number
): { prompt: Commitment; answer: Commitment } {
  const salt = saltOf(daySecret, index)
  return { prompt: under(salt, prompt), answer: under(salt, answer) }
}

/** The secret of a day; undefined if it was deleted or this is a copy without secrets. @throws VeritError */
export function readDaySecret(folder: string, day: string): KeyObject | undefined {
  const path = join(folder, 'salts', day)
  if (!existsSync(path)) return undefined
  const damaged = (size: number): VeritError =>
    new VeritError('VERIT_AUDIT_DAMAGED', { file: path, problem: `it has ${size} bytes, not ${BYTES}` })
  const secret = readTrusted(path, { kind: 'secret', purpose: 'the secret of a day', limit: BYTES, tooLong: damaged })
  if (secret.length !== BYTES) throw damaged(secret.length)
  return createSecretKey(secret)
}

/** The secrets of a log that is written: each made when it is first needed, and on disk before it is used. */
export class DaySecrets {
  #folder: string
  #day = ''
  #secret: KeyObject | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  async of(day: string): Promise<KeyObject> {
    if (this.#day === day && this.#secret !== undefined) return this.#secret
    let secret = readDaySecret(this.#folder, day)
    if (secret === undefined) {
      const bytes = randomBytes(BYTES)
      secret = createSecretKey(bytes)
      if (makeFolder(join(this.#folder, 'salts'), { ownerOnly: true }) !== undefined) await syncFolder(this.#folder)
      await replaceFile(join(this.#folder, 'salts', day), bytes)
    }
    this.#day = day
    this.#secret = secret
    return secret
  }
}
