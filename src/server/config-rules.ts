/**
 * Formats of text settings beyond their length: addresses, names, origins. Each is compared with what a client can
 * send, because nobody would notice a rule that never matches.
 */
import { isIP } from 'node:net'
import { processorList } from '../lib/processor-list.ts'
import { ProxyList } from './forwarded.ts'

/** Completes "SETTING must ..., not TEXT"; undefined: acceptable. */
type Rule = (text: string) => string | undefined

const HOST_NAME = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/

const isUrl = (text: string, ...schemes: string[]): boolean =>
  URL.canParse(text) && !/\s/.test(text) && schemes.includes(new URL(text).protocol)

const listenHost: Rule = text =>
  isIP(text.replace(/%.*$/, '')) !== 0 || HOST_NAME.test(text)
    ? undefined
    : 'must be an address or a host name, without port or brackets'
/** The longest that macOS takes; Linux takes four more. */
const SOCKET_BYTES = 103
const socketPath: Rule = text =>
  text.startsWith('/') && !text.endsWith('/') && Buffer.byteLength(text) <= SOCKET_BYTES
    ? undefined
    : `must be an absolute path of at most ${SOCKET_BYTES} bytes, for example /run/verit/verit.sock`
const hostName: Rule = text =>
  HOST_NAME.test(text) ? undefined : 'must hold names alone, without a scheme or port, for example gpu1.example'
const origin: Rule = text =>
  /^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text
    ? undefined
    : 'must hold origins as browsers send them, for example https://app.example, without a final slash'
const proxies: Rule = text =>
  ProxyList.isEntry(text) ? undefined : 'must hold addresses, CIDR blocks or "unix", for example 10.0.0.5 or 10.0.0.0/8'
const https: Rule = text => (isUrl(text, 'https:') ? undefined : 'must be an https address')
const contact: Rule = text =>
  isUrl(text, 'mailto:', 'https:', 'tel:')
    ? undefined
    : 'must hold addresses that begin with mailto:, https: or tel:, for example mailto:security@example.com'
const instant: Rule = text =>
  INSTANT.test(text) && !Number.isNaN(Date.parse(text))
    ? undefined
    : 'must be a date and time with its zone, for example 2027-06-30T00:00:00Z'
const cores: Rule = text =>
  processorList(text) === undefined ? 'must be processors as the system numbers them, for example 0-3,5' : undefined
/** As C2SP signed notes have it: no spaces, no plus. */
const logOrigin: Rule = text =>
  /^[\x21-\x2a\x2c-\x7e]+$/.test(text) ? undefined : 'must be of visible ASCII characters other than "+"'

/** An alert tells which key does what: it is encrypted, or stays on this machine. */
const webhook: Rule = text => {
  if (!isUrl(text, 'https:', 'http:')) return 'must be an https address'
  const { protocol, hostname, username, password } = new URL(text)
  if (username !== '' || password !== '') return 'must not hold a password'
  if (
    protocol === 'https:' ||
    hostname === 'localhost' ||
    hostname === '[::1]' ||
    /^127\.\d+\.\d+\.\d+$/.test(hostname)
  )
    return undefined
  return 'must be an https address (plain http only to this machine itself)'
}

export const textRules: Readonly<Record<string, Rule | undefined>> = {
  'listen.host': listenHost,
  'listen.socket': socketPath,
  'listen.allow_hosts': hostName,
  'listen.allow_origins': origin,
  'listen.trusted_proxies': proxies,
  'audit.origin': logOrigin,
  'inference.cores': cores,
  'watch.webhook_url': webhook,
  'security_txt.contact': contact,
  'security_txt.expires': instant,
  'security_txt.policy': https,
  'security_txt.canonical': https
}
