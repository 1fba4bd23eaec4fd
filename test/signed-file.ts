/** Signers and signed files for tests. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { newModelKey, readPrivateModelKey } from '../src/trust/model-key.ts'
import { signModel } from '../src/trust/oms-sign.ts'

export type Signer = ReturnType<typeof signer>

/** A new key pair. @param folder where its private half is kept */
export function signer(folder: string, name: string, type: 'p256' | 'ed25519' = 'p256') {
  const { privateKey, publicKey } = newModelKey(type)
  const path = join(folder, `${name}.pem`)
  writeFileSync(path, privateKey, { mode: 0o600 })
  return { key: readPrivateModelKey(path), publicKey }
}

/** Writes a file and, beside it, its signature. */
export async function writeSigned(path: string, bytes: Uint8Array, by: Signer): Promise<void> {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, bytes, { mode: 0o600 })
  writeFileSync(`${path}.sig`, await signModel(path, by.key), { mode: 0o600 })
}
