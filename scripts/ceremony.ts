/**
 * The key ceremony of docs/internals/releases.md: makes release keys and signs the default model anew.
 *   node scripts/ceremony.ts --out FOLDER --next FOLDER     the keys of releases, current and next, on two media
 *   outside of the checkout node scripts/ceremony.ts --ephemeral                    a key for the default model alone,
 *   whose private half is never written Both write models/verit.pub and the signature of the model, and put the
 *   fingerprints into SECURITY.md and docs/internals/releases.md. Nothing is replaced outside of the checkout.
 */
import { createPrivateKey, hash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { DEFAULT_MODEL } from '../src/lib/default-model.ts'
import { newModelKey, publicKeyFromPem } from '../src/trust/model-key.ts'
import { signModel } from '../src/trust/oms-sign.ts'

/** The pages that show the fingerprints. */
export const PAGES = ['SECURITY.md', 'docs/internals/releases.md']
const BEGIN = '<!-- Fingerprints: written by scripts/ceremony.ts. -->'
const END = '<!-- End of the fingerprints. -->'

export interface Fingerprints {
  /** SHA-256 of the PEM text of models/verit.pub, as bundles name the key. */
  readonly key: string
  /** SHA-256 of the default model. */
  readonly model: string
}

/** Of the files in the checkout. */
export function fingerprints(root: string): Fingerprints {
  const path = join(root, 'models/verit.pub')
  return {
    key: publicKeyFromPem(readFileSync(path, 'utf8'), path).hint,
    model: hash('sha256', readFileSync(join(root, 'models', `${DEFAULT_MODEL}.gguf`)))
  }
}

/** The page with these fingerprints. @throws Error where the page has no place for them */
export function withFingerprints(page: string, { key, model }: Fingerprints): string {
  const from = page.indexOf(BEGIN)
  const to = page.indexOf(END)
  if (from < 0 || to < from) throw new Error('the page has no place for the fingerprints')
  const block = `    sha256 ${model}  models/${DEFAULT_MODEL}.gguf\n    key    ${key}  models/verit.pub`
  return `${page.slice(0, from)}${BEGIN}\n\n${block}\n\n${page.slice(to)}`
}

/** A folder for private keys: outside of the checkout, its owner's alone, without the files to be written. */
function keyFolder(root: string, folder: string): string {
  const refuseInside = (path: string): void => {
    if (relative(realpathSync(root), path).startsWith('..')) return
    throw new Error(`${folder} is in the checkout. Private keys lie elsewhere, on a medium of their own`)
  }
  refuseInside(resolve(folder))
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = realpathSync(folder)
  refuseInside(path)
  const { mode } = statSync(path)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0)
    throw new Error(`Others can look into ${folder} (mode ${(mode & 0o777).toString(8)}). Run chmod 700 on it`)
  return path
}

function writeKeys(folder: string, name: string): { privateKey: string; publicKey: string } {
  const files = { private: join(folder, `${name}.pem`), public: join(folder, `${name}.pub`) }
  for (const file of Object.values(files))
    if (existsSync(file)) throw new Error(`${file} exists already. A ceremony replaces no key`)
  const keys = newModelKey('p256')
  writeFileSync(files.private, keys.privateKey, { mode: 0o600, flag: 'wx' })
  writeFileSync(files.public, keys.publicKey, { flag: 'wx' })
  const { hint } = publicKeyFromPem(keys.publicKey, files.public)
  process.stdout.write(`${name} key: ${files.private}\n  public half: ${files.public}\n  fingerprint: ${hint}\n`)
  return keys
}

async function signDefaultModel(root: string, privatePem: string, publicPem: string): Promise<void> {
  const privateKey = createPrivateKey(privatePem)
  const key = { ...publicKeyFromPem(publicPem, 'the new key'), privateKey }
  const model = join(root, 'models', `${DEFAULT_MODEL}.gguf`)
  writeFileSync(`${model}.sig`, await signModel(model, key))
  writeFileSync(join(root, 'models/verit.pub'), publicPem)
  for (const page of PAGES) {
    const path = join(root, page)
    writeFileSync(path, withFingerprints(readFileSync(path, 'utf8'), fingerprints(root)))
  }
}

const CHECKLIST = `
Next, by hand (docs/internals/releases.md has the reasons):
  1. Read the fingerprints to the second person, who compares them with the files.
  2. Publish both public keys in a place that is not this repository, and the fingerprints in another.
  3. Make a copy of each private key on a second medium. Store the current and the next key in different places.
  4. Commit models/, SECURITY.md and docs/internals/releases.md.
`

async function ceremony(
  root: string,
  out: string | undefined,
  next: string | undefined,
  ephemeral: boolean
): Promise<void> {
  if (ephemeral) {
    const keys = newModelKey('p256')
    await signDefaultModel(root, keys.privateKey, keys.publicKey)
    const { key, model } = fingerprints(root)
    process.stdout.write(
      `models/${DEFAULT_MODEL}.gguf is signed.\n  sha256 ${model}\n  key    ${key}\nThe private half was in ` +
        `memory alone and is gone: nothing else can be signed with it.\n`
    )
    return
  }
  if (out === undefined || next === undefined)
    throw new Error('usage: node scripts/ceremony.ts --out FOLDER --next FOLDER, or --ephemeral')
  const folders = [keyFolder(root, out), keyFolder(root, next)] as const
  if (folders[0] === folders[1])
    throw new Error('The current and the next key lie in different places: who finds one must not have the other')
  const current = writeKeys(folders[0], 'release')
  writeKeys(folders[1], 'release-next')
  await signDefaultModel(root, current.privateKey, current.publicKey)
  process.stdout.write(CHECKLIST)
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      out: { type: 'string' },
      next: { type: 'string' },
      ephemeral: { type: 'boolean', default: false },
      root: { type: 'string', default: fileURLToPath(new URL('..', import.meta.url)) }
    }
  })
  try {
    await ceremony(resolve(values.root), values.out, values.next, values.ephemeral)
  } catch (e) {
    process.stderr.write(`${(e as Error).message}\n`)
    process.exitCode = 1
  }
}
