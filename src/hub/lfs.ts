/**
 * Uploads through Git LFS (batch API, transfer `basic`): the hub names the objects that it lacks, and where to send
 * them. That may be another host, which gets no token, is checked like every address, and must not be private if the
 * hub is public.
 */
import { Type } from 'typebox'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { parseUrl } from './model-source.ts'
import type { PushFile } from './push-file.ts'
import { askHub, refusePush, sendTo } from './push-request.ts'
import type { PushRules } from './push-request.ts'

const LFS_TYPE = 'application/vnd.git-lfs+json'
const Action = Type.Object({
  href: Type.String({ maxLength: 8192 }),
  header: Type.Optional(Type.Record(Type.String(), Type.String({ maxLength: 8192 })))
})
const Batch = Type.Object({
  transfer: Type.Optional(Type.String({ maxLength: 100 })),
  objects: Type.Array(
    Type.Object({
      oid: Type.String({ maxLength: 64 }),
      size: Type.Integer(),
      actions: Type.Optional(Type.Object({ upload: Type.Optional(Action), verify: Type.Optional(Action) })),
      error: Type.Optional(Type.Object({ code: Type.Integer(), message: Type.String() }))
    }),
    { maxItems: 16 }
  )
})
type Place = { href: string; header?: Record<string, string> }
/** Said by us, or by no one: a host has no business with them. */
const OURS =
  /^(?:host|content-length|transfer-encoding|connection|upgrade|expect|te|trailer|cookie|keep-alive|proxy-.*)$/i

/**
 * @param revision the branch @returns whether each file was sent; one that the hub has already is not @throws
 * VeritError VERIT_PUSH_*, VERIT_PULL_ADDRESS
 */
export async function uploadLfs(
  repository: string,
  revision: string,
  files: readonly PushFile[],
  rules: PushRules,
  onProgress: (file: PushFile, done: number) => void
): Promise<ReadonlySet<PushFile>> {
  const url = new URL(`${rules.origin}/${repository}.git/info/lfs/objects/batch`)
  const body = {
    operation: 'upload',
    transfers: ['basic'],
    objects: files.map(f => ({ oid: f.oid, size: f.bytes })),
    hash_algo: 'sha256',
    ref: { name: revision }
  }
  const { objects, transfer = 'basic', fromPrivate } = await askHub(url, LFS_TYPE, JSON.stringify(body), Batch, rules)
  if (transfer !== 'basic')
    refusePush(url.host, `it wants the transfer ${printable(transfer, 40)}, which was not offered`)
  const onward = { ...rules, allowPrivate: rules.allowPrivate && fromPrivate }
  const sent = new Set<PushFile>()
  for (const file of files) {
    const object =
      objects.find(o => o.oid === file.oid && o.size === file.bytes) ??
      refusePush(url.host, `it does not answer for ${file.digest}`)
    if (object.error !== undefined)
      refusePush(url.host, `${printable(object.error.message, 200)} (${object.error.code})`)
    const { upload, verify } = object.actions ?? {}
    if (upload === undefined) continue
    await put(placeOf(upload, url), file, onward, onProgress)
    sent.add(file)
    if (verify !== undefined) await confirm(placeOf(verify, url), file, onward)
  }
  return sent
}

function placeOf({ href, header = {} }: Place, hub: URL): { url: URL; headers: Record<string, string> } {
  const url =
    parseUrl(href) ?? refusePush(hub.host, 'it wants the upload to go to something that is not a plain https address')
  if (hub.protocol === 'https:' && url.protocol !== 'https:') refusePush(hub.host, 'it wants the upload to go to http')
  const entries = Object.entries(header)
  if (
    entries.length > 32 ||
    entries.some(
      ([name, value]) => !/^[A-Za-z0-9-]{1,100}$/.test(name) || OURS.test(name) || !/^[\x20-\x7e]*$/.test(value)
    )
  ) {
    refusePush(hub.host, 'it wants headers to be sent that are not its to choose')
  }
  return { url, headers: Object.fromEntries(entries) }
}

async function put(
  { url, headers }: ReturnType<typeof placeOf>,
  file: PushFile,
  rules: PushRules,
  onProgress: (file: PushFile, done: number) => void
): Promise<void> {
  const chunks = () => file.chunks(done => onProgress(file, done))
  const { response } = await sendTo(
    url,
    { 'content-type': 'application/octet-stream', ...headers },
    () => ({ method: 'PUT', chunks: chunks(), bytes: file.bytes }),
    rules
  )
  response.on('error', () => undefined).destroy()
  checkStored(url, response.headers['x-amz-checksum-sha256'], file)
}

/** Some hosts return the SHA-256 of the stored object. @throws VeritError VERIT_PULL_DIGEST */
export function checkStored(url: URL, said: string | string[] | undefined, file: PushFile): void {
  if (typeof said !== 'string' || !/^[A-Za-z0-9+/]{43}=$/.test(said)) return
  const got = Buffer.from(said, 'base64').toString('hex')
  if (got !== file.oid)
    throw new VeritError('VERIT_PUSH_ANSWER', {
      host: url.host,
      problem: `it has stored another content: sha256:${got}, not ${file.digest}`,
      hint: 'Run the same command again, or tell its operator'
    })
}

async function confirm({ url, headers }: ReturnType<typeof placeOf>, file: PushFile, rules: PushRules): Promise<void> {
  const bytes = Buffer.from(JSON.stringify({ oid: file.oid, size: file.bytes }))
  const { response } = await sendTo(
    url,
    { 'content-type': LFS_TYPE, accept: LFS_TYPE, ...headers },
    () => ({ method: 'POST', chunks: [bytes], bytes: bytes.length }),
    rules
  )
  response.on('error', () => undefined).destroy()
}
