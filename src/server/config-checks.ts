/** Checks across settings, and of the files that they name. */
import { loadTextsKey } from '../audit/audit-log.ts'
import { VeritError } from '../lib/errors.ts'
import { loadTrustPolicy } from '../trust/trust-policy.ts'
import { conversationSettings } from './chat-template.ts'
import { defaultConfig } from './config.ts'
import type { ServerConfig } from './config.ts'

const YEAR_MS = 366 * 86_400_000

/** @throws VeritError VERIT_CONFIG, and those of reading the files */
export function checkTogether(config: ServerConfig, source: string, now = Date.now()): void {
  const fail = (field: string, problem: string): never => {
    throw new VeritError('VERIT_CONFIG', { source, field, problem })
  }
  const { listen, keys, inference, securityTxt, audit, trust } = config
  if ((listen.tlsCert === '') !== (listen.tlsKey === '')) {
    fail(
      listen.tlsCert === '' ? 'listen.tls_cert' : 'listen.tls_key',
      `is missing: ${listen.tlsCert === '' ? 'listen.tls_key' : 'listen.tls_cert'} is of no use without it`
    )
  }
  checkSocket(listen, fail)
  if (listen.tlsClientCa !== '' && listen.tlsCert === '')
    fail('listen.tls_client_ca', 'needs listen.tls_cert and listen.tls_key')
  if (listen.tlsClientRequired && listen.tlsClientCa === '')
    fail('listen.tls_client_required', 'needs listen.tls_client_ca')
  if (keys.tokensPerDay > keys.tokensPerMonth && keys.tokensPerMonth !== 0)
    fail('keys.tokens_per_day', 'must not be more than keys.tokens_per_month')
  if (inference.promptTokens > inference.context && inference.context !== 0)
    fail('inference.prompt_tokens', 'must not be more than inference.context')
  if (securityTxt.expires !== '') {
    const expires = Date.parse(securityTxt.expires)
    if (expires <= now) fail('security_txt.expires', 'lies in the past')
    if (expires > now + YEAR_MS) fail('security_txt.expires', 'lies more than a year ahead (RFC 9116, section 2.5.5)')
  }
  if (trust.policy !== '') loadTrustPolicy(trust.policy)
  void conversationSettings(inference, source)
  if (audit.textsKey !== '') {
    if (!audit.enabled) fail('audit.texts_key', 'needs audit.enabled')
    loadTextsKey(audit.textsKey)
  }
}

/** A socket excludes host, port and TLS: with both, it would be unclear which applies. */
function checkSocket(listen: ServerConfig['listen'], fail: (field: string, problem: string) => never): void {
  const normal = defaultConfig().listen
  if (listen.socket === '') {
    if (listen.trustedProxies.includes('unix'))
      fail('listen.trusted_proxies', 'names "unix", but listen.socket is not set')
    return
  }
  if (process.platform === 'win32') fail('listen.socket', 'is not supported on Windows')
  if (listen.host !== normal.host || listen.port !== normal.port) {
    fail('listen.socket', 'replaces listen.host and listen.port: remove those, or listen.socket')
  }
  if (listen.tlsCert !== '') fail('listen.tls_cert', 'has no effect on a Unix socket: remove it, or listen.socket')
}
