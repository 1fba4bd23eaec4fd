/** The banner of `verit serve`: lines for a person, or JSON log lines without any key. */
import { commandName } from '../lib/command-name.ts'
import { plural } from '../lib/error-table.ts'
import type { Log } from '../lib/log.ts'
import { printable } from '../lib/printable.ts'
import { shellPath } from '../lib/shell-word.ts'
import { describeProtection, notProtected } from '../runner/protect.ts'
import type { Protection } from '../runner/protect.ts'
import { describeSandbox } from '../runner/sandbox-words.ts'
import type { ServerConfig } from '../server/config.ts'
import type { RunningServer } from '../server/serve.ts'

const digits = (n: number): string => n.toLocaleString('en-US')

/** Text from the runner may come from a hostile file: it is escaped and only shown. */
function conversationShown(said: RunningServer['model']['info']['conversation']): {
  about?: string
  warnings: string[]
} {
  if (said === undefined) return { warnings: [] }
  const { templateSource: source, endTokens } = said
  const template = source === undefined ? 'plain turns, no chat template' : `chat template: ${printable(source, 100)}`
  const ends = endTokens.length === 0 ? 'none known' : endTokens.map(text => printable(text, 120)).join(', ')
  return { about: `${template}; end tokens: ${ends}`, warnings: said.warnings.map(text => printable(text, 512)) }
}

function conversationLines(said: RunningServer['model']['info']['conversation']): string[] {
  const { about, warnings } = conversationShown(said)
  return [...(about === undefined ? [] : [`  Conversations: ${about}`]), ...warnings.map(text => `  Warning: ${text}`)]
}

export function banner(server: RunningServer, { listen, inference }: ServerConfig, protection: Protection): string {
  const { url, socket, modelId, model, trust, firstKey, exposed, audit } = server
  const { parameters, context, modelContext, executor, threads } = model.info
  const less =
    inference.context !== 0
      ? ''
      : inference.cacheMib === 0
        ? ' (more with --context)'
        : ' (cache_mib has no room for more)'
  const key = firstKey?.key ?? '$VERIT_API_KEY'
  const secure = listen.tlsCert !== ''
  const lines = [
    '',
    `  Verit serves ${modelId} ${socket === undefined ? `at ${url}` : `on the Unix socket ${printable(socket)}`}`,
    '',
    `  ${digits(parameters)} parameters, context ` +
      `${digits(context)}${context < modelContext ? ` of the model's ${digits(modelContext)}${less}` : ''}, ` +
      `${printable(executor)} on ${plural(threads, 'thread')}`,
    `  ${model.digest}`,
    trust.by === 'signature'
      ? `  Signed by ${trust.signer}`
      : trust.by === 'digest'
        ? '  Trusted by its digest'
        : '  Not signed: nobody vouches for this model',
    `  Runner ${describeSandbox(model.info.sandbox)}`,
    `  Gateway ${describeProtection(protection)}`,
    ...conversationLines(model.info.conversation)
  ]
  if (audit === undefined) {
    lines.push('  No audit log is kept (audit.enabled = false); the next start with a log records this time in it')
  }
  if (secure) {
    const certificates =
      listen.tlsClientCa === ''
        ? ''
        : listen.tlsClientRequired
          ? '; clients must have a certificate'
          : '; client certificates are asked for'
    lines.push(`  TLS 1.2 and 1.3, certificate from ${printable(listen.tlsCert)}${certificates}`)
  }
  if (firstKey?.key !== undefined) {
    lines.push(
      '',
      '  Your API key, shown this once and stored only as a hash:',
      '',
      `    ${firstKey.key}`,
      '',
      `  More keys: ${commandName} keys create. Lost it? Create another, revoke this one.`
    )
  } else lines.push('', `  Keys: ${commandName} keys create | list | rotate | revoke`)
  if (exposed && !secure && listen.trustedProxies.length === 0) {
    lines.push(
      '',
      '  Warning: other machines can reach this address, and nothing encrypts what they send, keys included. Give ' +
        '--tls-cert and --tls-key, or put a',
      '  proxy with TLS in front, declare it with --trusted-proxy, and let only it through to this port ' +
        '(docs/guide/security.md).'
    )
  }
  // A certificate is for a name, which the address listened on seldom is.
  const named = listen.allowHosts[0]
  const reached = secure && named !== undefined ? url.replace(/\/\/.*:/, `//${named}:`) : url
  lines.push(
    '',
    '  Try it:',
    '',
    `    curl ${socket === undefined ? '' : `--unix-socket ${printable(socket)} `}${reached}/v1/chat/completions ` +
      `-H 'Content-Type: application/json' \\`,
    `      -H ${firstKey === undefined ? `"Authorization: Bearer ${key}"` : `'Authorization: Bearer ${key}'`} \\`,
    `      -d '{"model": "${modelId}", "messages": [{"role": "user", "content": "My fellow citizens"}], ` +
      `"max_tokens": 64}'`,
    '',
    ''
  )
  return lines.join('\n')
}

/** The same for programs. */
export function announce(
  log: Log,
  server: RunningServer,
  { listen }: ServerConfig,
  protection: Protection,
  state: string
): void {
  const { url, socket, modelId, model, trust, keyless, exposed, audit } = server
  const { about: conversations, warnings } = conversationShown(model.info.conversation)
  const { parameters, context, executor, threads, sandbox } = model.info
  const tls = listen.tlsCert !== ''
  const vouched = trust.by === 'signature' ? `signed by ${trust.signer}` : trust.by
  log.info(
    {
      url,
      socket,
      model: modelId,
      digest: model.digest,
      parameters,
      context,
      executor,
      threads,
      trust: vouched,
      tls,
      runner: describeSandbox(sandbox),
      gateway: describeProtection(protection),
      conversations
    },
    'serving'
  )
  for (const warning of warnings) log.warn({ warning }, "the model's conversations may go wrong")
  if (audit === undefined) {
    log.warn('no audit log is kept (audit.enabled = false); the next start with a log records this time in it')
  }
  const missing = notProtected(protection)
  if (missing.length > 0) log.warn({ missing: missing.join('; ') }, 'the gateway is not fully protected')
  if (exposed && !tls && listen.trustedProxies.length === 0) {
    log.warn('other machines can reach this address, and nothing encrypts what they send (docs/guide/security.md)')
  }
  if (keyless) {
    const make = `verit keys create --name NAME --state ${shellPath(state)}`
    log.warn({ make }, 'there is no key yet: every request is refused until one is made')
  }
}
