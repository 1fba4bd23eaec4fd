/** What others can reach with this configuration, and how the connection is protected. */
import { parseBlock } from '../lib/address.ts'
import { VeritError } from '../lib/errors.ts'
import type { ServerConfig } from '../server/config.ts'
import { isLoopback } from '../server/http-checks.ts'
import { readTls } from '../server/tls.ts'
import { note, ok, problem, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const DAY_MS = 86_400_000
const [SOON_DAYS, AT_ONCE_DAYS] = [14, 3]
/** Blocks with fewer bits than these hold more addresses than anybody has proxies. */
const LEAST_BITS = { 4: 16, 6: 48 } as const

export function checkListening(config: ServerConfig, env: NodeJS.ProcessEnv, now: number): Finding[] {
  return [exposure(config), ...certificate(config, now), ...proxies(config), ...watching(config, env)]
}

function exposure({ listen }: ServerConfig): Finding {
  const { host, port, socket, tlsCert, trustedProxies } = listen
  if (socket !== '')
    return ok('listen.exposure', `The server listens on the Unix socket ${socket}: only its user and group reach it`)
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
  if (isLoopback(host)) return ok('listen.exposure', `The server listens on ${where}: only this machine reaches it`)
  if (tlsCert !== '') return ok('listen.exposure', `The server listens on ${where}, with TLS`)
  if (trustedProxies.length > 0) {
    return warning(
      'listen.exposure',
      `The server listens on ${where} without TLS, for a proxy: keys and texts cross that network readable`,
      'Let only the proxy reach the port (firewall), over a network that nobody else uses; or set ' +
        'listen.tls_cert and listen.tls_key'
    )
  }
  return problem(
    'listen.exposure',
    `The server listens on ${where} without TLS, and no proxy is declared: keys cross the network readable`,
    'Set listen.tls_cert and listen.tls_key, or listen on 127.0.0.1 behind a proxy that ends TLS ' +
      '(docs/guide/security.md)'
  )
}

function certificate({ listen }: ServerConfig, now: number): Finding[] {
  if (listen.tlsCert === '') return []
  try {
    const { expires } = readTls(listen, now)
    const days = Math.floor((expires - now) / DAY_MS)
    const says =
      `The certificate ${listen.tlsCert} is good until ${new Date(expires).toISOString().slice(0, 10)} ` +
      `(${days} days)`
    const fix = 'Renew it; a running server loads new files by itself'
    if (days < AT_ONCE_DAYS) return [problem('listen.certificate', says, fix)]
    return [days < SOON_DAYS ? warning('listen.certificate', says, fix) : ok('listen.certificate', says)]
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return [problem('listen.certificate', e.what, e.next)]
  }
}

function proxies({ listen }: ServerConfig): Finding[] {
  const { trustedProxies, host, socket } = listen
  if (trustedProxies.length === 0) return []
  const wide = trustedProxies.filter(text => {
    const block = parseBlock(text)
    return block !== undefined && block.bits < LEAST_BITS[block.version]
  })
  if (wide.length > 0) {
    return [
      warning(
        'listen.proxies',
        `Whoever connects from ${wide.join(', ')} can claim any client address (trusted_proxies)`,
        'Name the addresses of the proxies themselves'
      )
    ]
  }
  const elsewhere = trustedProxies.filter(text => !isLoopback(text.split('/')[0]!))
  if (socket === '' && elsewhere.length < trustedProxies.length) {
    return [
      note(
        'listen.proxies',
        'Every user of this machine can claim any client address: a loopback address is a trusted proxy. ' +
          'Listen on a Unix socket (listen.socket) and trust "unix" instead'
      )
    ]
  }
  if (socket === '' && isLoopback(host)) {
    return [
      note(
        'listen.proxies',
        `The server listens on ${host} only, where the declared proxies (${elsewhere.join(', ')}) cannot come from`
      )
    ]
  }
  return [ok('listen.proxies', `Client addresses are believed from ${trustedProxies.join(', ')} only`)]
}

function watching({ listen, audit, watch, securityTxt }: ServerConfig, env: NodeJS.ProcessEnv): Finding[] {
  const found: Finding[] = []
  if (!audit.enabled) found.push(warning('audit.enabled', 'No audit log is kept', 'Set audit.enabled = true'))
  if (audit.textsKey !== '')
    found.push(note('audit.texts', `Texts of requests are kept for ${audit.textsDays} days, encrypted`))
  if (!watch.enabled) found.push(note('watch.enabled', 'Nothing looks for unusual use', 'Set watch.enabled = true'))
  const secret = (env['VERIT_WEBHOOK_SECRET'] ?? '') + (env['VERIT_WEBHOOK_SECRET_FILE'] ?? '')
  if (watch.webhookUrl !== '' && secret === '') {
    found.push(
      note(
        'watch.webhook',
        'Alerts go to a webhook, and this environment holds no VERIT_WEBHOOK_SECRET: without it the server does ' +
          'not start',
        'Run this in the environment of the server'
      )
    )
  }
  if (!isLoopback(listen.host) && securityTxt.contact.length === 0) {
    found.push(note('security-txt', 'Nobody is named whom to tell of a weakness', 'Set security_txt.contact'))
  }
  return found
}
