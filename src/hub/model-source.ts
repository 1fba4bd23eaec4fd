/**
 * The source of a model as a user writes it: `hf:OWNER/REPO[@REVISION]/FILE` for a file on a hub with Hugging Face's
 * addresses (ENDPOINT/OWNER/REPO/resolve/REVISION/FILE), or an https address.
 */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'

export const DEFAULT_ENDPOINT = 'https://huggingface.co'

export interface ModelSource {
  /** Canonical name in verit.lock: the same for every spelling and mirror. */
  readonly id: string
  readonly kind: 'hub' | 'url'
  /** The last part of the path. */
  readonly file: string
  /** The branch, tag or commit that was asked for; undefined for an address. */
  readonly revision: string | undefined
  /** The address with another revision (a commit). */
  url(revision?: string): URL
  /** For a hub: its origin, OWNER/REPO, and the path of the file in the repository. */
  readonly repository: { readonly origin: string; readonly name: string; readonly path: string } | undefined
  /**
   * Where signatures are looked for, in this order: FILE.sig, and in a repository model.sig at its top, which signs all
   * of it.
   */
  readonly signatures: readonly SignaturePlace[]
}

export interface SignaturePlace {
  url(revision?: string): URL
  /** Required path of the file in a signature. */
  readonly signedAs: string
}

const HUB = /^hf:([^/@]+)\/([^/@]+)(?:@([^/@]+))?\/(.+)$/
const PART = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/
const REVISION = /^[A-Za-z0-9](?:[A-Za-z0-9._-]|%2F){0,199}$/
/** Characters that readers may interpret differently, or that are not shown. */
const DOUBTFUL = /[\\\s\p{C}]/u

const fail = (source: string, problem: string): never => {
  throw new VeritError('VERIT_PULL_SOURCE', { source: printable(source, 200), problem })
}

/** @param endpoint origin of the hub, see `parseEndpoint` @throws VeritError VERIT_PULL_SOURCE */
export function parseSource(text: string, endpoint: URL): ModelSource {
  if (text.length > 2000) fail(text, 'is longer than 2000 characters')
  return text.startsWith('hf:') ? hubSource(text, endpoint) : urlSource(text)
}

function hubSource(text: string, endpoint: URL): ModelSource {
  const [, owner = '', repository = '', revision = 'main', path = ''] =
    HUB.exec(text) ?? fail(text, 'does not have the form hf:OWNER/REPO/FILE or hf:OWNER/REPO@REVISION/FILE')
  if (!PART.test(owner) || !PART.test(repository))
    fail(text, 'names no repository: letters, digits, dots, dashes and underscores are allowed')
  if (!REVISION.test(revision) || revision.includes('..'))
    fail(text, 'names no revision: give a branch, a tag or a commit; write a slash in it as %2F')
  const parts = path.split('/')
  if (parts.length > 20 || parts.some(p => p === '' || p === '.' || p === '..' || /[\\\p{C}%?#]/u.test(p)))
    fail(text, 'names no file of a repository')
  const file = parts.at(-1)!
  const at =
    (where: string) =>
    (other = revision) => {
      const path = where.split('/').map(encodeURIComponent).join('/')
      return new URL(`${endpoint.origin}/${owner}/${repository}/resolve/${other}/${path}`)
    }
  return {
    id: `hf:${owner}/${repository}@${revision}/${path}`,
    kind: 'hub',
    file,
    revision,
    repository: { origin: endpoint.origin, name: `${owner}/${repository}`, path },
    url: at(path),
    signatures: [
      { url: at(`${path}.sig`), signedAs: file },
      { url: at('model.sig'), signedAs: path }
    ]
  }
}

function urlSource(text: string): ModelSource {
  const url = parseUrl(text) ?? fail(text, 'is neither hf:OWNER/REPO/FILE nor an https address')
  if (url.search !== '' || text.includes('?'))
    fail(text, 'has a query, which would be written to verit.lock and may hold a secret')
  if (url.hash !== '' || text.includes('#')) fail(text, 'has a part after #')
  let file = ''
  try {
    file = decodeURIComponent(url.pathname.split('/').at(-1)!)
  } catch {
    fail(text, 'has a % in its path that stands for nothing')
  }
  if (file === '' || file === '.' || file === '..' || /[\\/\p{C}]/u.test(file)) fail(text, 'ends in no name of a file')
  return {
    id: url.href,
    kind: 'url',
    file,
    revision: undefined,
    repository: undefined,
    url: () => new URL(url),
    signatures: [{ url: () => new URL(`${url.href}.sig`), signedAs: file }]
  }
}

/**
 * An http or https address without user, password and doubtful characters, as the WHATWG URL Standard reads it;
 * undefined for anything else. Which schemes, hosts and addresses may be asked is decided for every hop in
 * `requestRules`.
 */
export function parseUrl(text: string, base?: URL): URL | undefined {
  if (DOUBTFUL.test(text) || !URL.canParse(text, base?.href)) return undefined
  const url = new URL(text, base)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined
  return url.username === '' && url.password === '' && !/^[a-z]+:\/*[^/?#]*@/i.test(text) ? url : undefined
}

/** Origin of a hub: an address without path, query and user. @throws VeritError VERIT_PULL_SOURCE */
export function parseEndpoint(text: string): URL {
  const url = parseUrl(text)
  if (url === undefined || url.pathname !== '/' || url.search !== '' || url.hash !== '')
    return fail(text, 'is not the address of a hub, for example https://huggingface.co')
  return url
}
