/**
 * `verit push`: a model and its signature to a repository of a hub (preupload, Git LFS, one commit for all files, as
 * Hugging Face's clients do), or to an https address (PUT). Files that the hub has are not sent again, so the same
 * command resumes.
 */
import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { Type } from 'typebox'
import { DisposableStack } from '../lib/disposable-stack.ts'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { Digest } from '../trust/digest.ts'
import { MAX_BUNDLE_BYTES, parseBundle } from '../trust/oms-bundle.ts'
import { parseStatement } from '../trust/oms-statement.ts'
import { checkStored, uploadLfs } from './lfs.ts'
import { DEFAULT_ENDPOINT, parseEndpoint, parseSource } from './model-source.ts'
import type { ModelSource } from './model-source.ts'
import { PushFile } from './push-file.ts'
import { askHub, refusePush, sendTo } from './push-request.ts'
import type { PushRules } from './push-request.ts'
import { request } from './request.ts'
import type { RequestRules } from './request.ts'

/** Bytes of a file that travels inside a commit. */
const MAX_INLINE = 16 << 20

export interface PushOptions extends RequestRules {
  /** Origin of the hub. Default https://huggingface.co. */
  readonly endpoint?: string
  /** For the origin of the hub, or of the address, only. */
  readonly token?: string | undefined
  /** Whether a model may be sent without its signature. */
  readonly unsigned?: boolean
  /** First line of the commit. Default: "Add" and the file's name. */
  readonly message?: string | undefined
  /** Milliseconds for everything. Default 24 h. */
  readonly totalMs?: number
  readonly onHash?: (done: number, total: number) => void
  readonly onProgress?: (path: string, done: number, total: number) => void
  readonly onWait?: (seconds: number, reason: string) => void
}

export interface PushedFile {
  /** Path in the repository, or address. */
  readonly path: string
  readonly digest: Digest
  readonly size: number
  /** Whether its bytes were sent; false: the hub had them. */
  readonly sent: boolean
}

export interface Pushed {
  /** As in verit.lock, and as an argument of `verit pull`. */
  readonly target: string
  readonly files: readonly PushedFile[]
  /** Commit that was made; undefined where all was there already, and for an address. */
  readonly commit: string | undefined
  /** Whether the hub then reported the same digest for the model; undefined if it reports none. */
  readonly confirmed: boolean | undefined
}

/**
 * @param model path of a file @param text hf:OWNER/REPO[@BRANCH][/FILE] or https://HOST/PATH
 * @throws VeritError VERIT_PUSH_*, VERIT_PULL_ADDRESS, VERIT_PULL_SOURCE, VERIT_BUNDLE, those of reading files; the
 *   reason of `signal`
 */
export async function push(model: string, text: string, options: PushOptions): Promise<Pushed> {
  const target = parseTarget(text, basename(model), options.endpoint ?? DEFAULT_ENDPOINT)
  const total = AbortSignal.timeout(options.totalMs ?? 86_400_000)
  const signal = options.signal === undefined ? total : AbortSignal.any([options.signal, total])
  const rules: PushRules = { ...options, signal, origin: target.url().origin, token: options.token }
  using opened = new DisposableStack()
  const path = target.repository?.path ?? target.file
  const file = opened.use(await PushFile.open(model, path, options.onHash))
  const files = [file]
  if (options.unsigned !== true) files.push(opened.use(await openSignature(model, path, file, target.file)))
  try {
    return target.repository === undefined
      ? await putAll(target, files, rules, options)
      : await commitAll(target, target.repository.name, files, rules, options)
  } catch (e) {
    throw total.aborted
      ? new VeritError(
          'VERIT_PUSH_CONNECTION',
          { host: target.url().host, reason: 'the time for the whole upload was over' },
          e
        )
      : e
  }
}

function parseTarget(text: string, file: string, endpoint: string): ModelSource {
  const hub = parseEndpoint(endpoint)
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_PUSH_TARGET', { target: printable(text, 200), problem })
  }
  try {
    const target = parseSource(/^hf:[^/]+\/[^/]+\/?$/.test(text) ? `${text.replace(/\/$/, '')}/${file}` : text, hub)
    if (/^[0-9a-f]{40}$/.test(target.revision ?? '')) refuse('a commit cannot be changed: name a branch')
    return target
  } catch (e) {
    throw VeritError.is(e, 'VERIT_PULL_SOURCE') ? refuse(`it ${e.fields.problem}`) : e
  }
}

/**
 * The signature beside the model, which must be for this content and its future name. Whoever pulls it decides whether
 * to trust the signer.
 */
async function openSignature(model: string, path: string, file: PushFile, name: string): Promise<PushFile> {
  const at = `${model}.sig`
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_PUSH_UNSIGNED', { model, signature: at, problem })
  }
  if (!existsSync(at)) refuse('is not there')
  const signature = await PushFile.open(at, `${path}.sig`)
  try {
    if (signature.bytes > MAX_BUNDLE_BYTES) refuse(`has more than ${MAX_BUNDLE_BYTES.toLocaleString('en-US')} bytes`)
    const { parts } = parseStatement(parseBundle(signature.content, at).payload, at)
    const [only] = parts
    if (parts.length !== 1 || only!.path !== name)
      refuse(
        `signs ${parts.length === 1 ? `the name ${printable(only!.path, 200)}` : `${parts.length} files`}, not ` +
          `${printable(name)} alone: who pulls it could not verify it`
      )
    if (only!.digest !== file.oid) refuse('is that of another content')
    return signature
  } catch (e) {
    signature[Symbol.dispose]()
    throw e
  }
}

const pushed = (f: PushFile, path: string, sent: boolean): PushedFile => ({
  path,
  digest: f.digest,
  size: f.bytes,
  sent
})

/**
 * One PUT a file (RFC 9110, section 9.3.4), with its digest for hosts that compare it (RFC 9530). The signature last:
 * it is there only when its model is.
 */
async function putAll(
  target: ModelSource,
  files: readonly PushFile[],
  rules: PushRules,
  options: PushOptions
): Promise<Pushed> {
  const done: PushedFile[] = []
  for (const file of files) {
    const url = new URL(`${target.url().href}${file.path.slice(target.file.length)}`)
    const headers = {
      'content-type': 'application/octet-stream',
      'repr-digest': `sha-256=:${Buffer.from(file.oid, 'hex').toString('base64')}:`
    }
    const chunks = () => file.chunks(n => options.onProgress?.(file.path, n, file.bytes))
    const { response } = await sendTo(
      url,
      headers,
      () => ({ method: 'PUT', chunks: chunks(), bytes: file.bytes }),
      rules
    )
    response.on('error', () => undefined).destroy()
    checkStored(url, response.headers['x-amz-checksum-sha256'], file)
    done.push(pushed(file, url.href, true))
  }
  return { target: target.id, files: done, commit: undefined, confirmed: undefined }
}

const Preupload = Type.Object({
  files: Type.Array(
    Type.Object({
      path: Type.String(),
      uploadMode: Type.Union([Type.Literal('lfs'), Type.Literal('regular')]),
      shouldIgnore: Type.Optional(Type.Boolean()),
      oid: Type.Optional(Type.Union([Type.String(), Type.Null()]))
    }),
    { maxItems: 16 }
  )
})
const Commit = Type.Object({ commitOid: Type.String({ pattern: '^[0-9a-f]{40}$' }) })

async function commitAll(
  target: ModelSource,
  repository: string,
  files: readonly PushFile[],
  rules: PushRules,
  options: PushOptions
): Promise<Pushed> {
  const branch = decodeURIComponent(target.revision!)
  const api = (what: string): URL =>
    new URL(`${rules.origin}/api/models/${repository}/${what}/${encodeURIComponent(branch)}`)
  const host = api('preupload').host
  const modes = await askHub(
    api('preupload'),
    'application/json',
    JSON.stringify({ files: files.map(f => ({ path: f.path, size: f.bytes, sample: f.sample.toString('base64') })) }),
    Preupload,
    rules
  )
  const plan = files.map(file => {
    const mode =
      modes.files.find(m => m.path === file.path) ??
      refusePush(host, `it does not say how ${printable(file.path)} is stored`)
    if (mode.shouldIgnore === true)
      refusePush(host, `its .gitignore leaves ${printable(file.path)} out`, 'Choose another path')
    const lfs = mode.uploadMode === 'lfs'
    if (!lfs && file.bytes > MAX_INLINE)
      refusePush(host, `it wants ${file.bytes.toLocaleString('en-US')} bytes inside a commit`)
    return { file, lfs, there: mode.oid != null && mode.oid === (lfs ? file.oid : file.blobId) }
  })
  const changed = plan.filter(p => !p.there)
  if (changed.length === 0)
    return {
      target: target.id,
      files: files.map(f => pushed(f, f.path, false)),
      commit: undefined,
      confirmed: undefined
    }
  const large = changed.filter(p => p.lfs).map(p => p.file)
  const sent =
    large.length === 0
      ? new Set<PushFile>()
      : await uploadLfs(repository, branch, large, rules, (f, n) => options.onProgress?.(f.path, n, f.bytes))
  const lines = changed.map(({ file: f, lfs }) =>
    lfs
      ? { key: 'lfsFile', value: { path: f.path, algo: 'sha256', oid: f.oid, size: f.bytes } }
      : { key: 'file', value: { content: f.content.toString('base64'), path: f.path, encoding: 'base64' } }
  )
  const header = { key: 'header', value: { summary: options.message ?? `Add ${target.file}`, description: '' } }
  const { commitOid } = await askHub(
    api('commit'),
    'application/x-ndjson',
    [header, ...lines].map(l => `${JSON.stringify(l)}\n`).join(''),
    Commit,
    rules
  )
  const done = plan.map(({ file, lfs, there }) => pushed(file, file.path, !there && (!lfs || sent.has(file))))
  return {
    target: target.id,
    files: done,
    commit: commitOid,
    confirmed: await confirm(target, commitOid, files[0]!, rules)
  }
}

/**
 * Asks the hub for the model's digest at the new commit; undefined if it names none. @throws VeritError
 * VERIT_PUSH_ANSWER if it differs
 */
async function confirm(
  target: ModelSource,
  commit: string,
  file: PushFile,
  rules: PushRules
): Promise<boolean | undefined> {
  const url = target.url(commit)
  const headers = rules.token === undefined ? {} : { authorization: `Bearer ${rules.token}` }
  const answer = await request(url, headers, rules).catch((e: unknown) => {
    if (rules.signal?.aborted === true) throw e
  })
  if (answer === undefined) return undefined
  const { response } = answer
  response.on('error', () => undefined).destroy()
  const said = /^"([0-9a-f]{64})"$/.exec(String(response.headers['x-linked-etag'] ?? ''))?.[1]
  if (said !== undefined && said !== file.oid)
    refusePush(
      url.host,
      `it made the commit ${commit}, in which ${printable(file.path)} is sha256:${said}, not ${file.digest}`,
      'Do not use that commit, and tell its operator'
    )
  return said === undefined ? undefined : true
}
