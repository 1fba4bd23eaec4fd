/**
 * Every setting of the server in one schema: names, ranges, defaults and meaning. A configuration file (TOML) has the
 * same sections and names in snake_case; flags of `verit serve` override it. docs/reference/configuration.md is
 * generated from it (`node scripts/config-docs.ts`). Secrets are not settings: they come from files or the environment.
 */
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { cacheTypes, instructionSetNames, ternaryPackings } from '../lib/compute-settings.ts'

const closed = { additionalProperties: false } as const
const whole = (minimum: number, maximum: number, value: number, description: string) =>
  Type.Integer({ minimum, maximum, default: value, description })
/** 0 is off. */
const limit = (value: number, description: string) =>
  whole(0, Number.MAX_SAFE_INTEGER, value, `${description}; 0: no limit`)
const flag = (value: boolean, description: string) => Type.Boolean({ default: value, description })
const text = (description: string) => Type.String({ default: '', maxLength: 4096, description })
/** One of these names, the first by default. */
const choice = <const T extends readonly [string, ...string[]]>(names: T, description: string) =>
  Type.Unsafe<T[number]>(
    Type.Union(
      names.map(name => Type.Literal(name)),
      { default: names[0], description }
    )
  )
const texts = (description: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 512 }), { default: [], maxItems: 1024, description })

export const ServerConfig = Type.Object(
  {
    listen: Type.Object(
      {
        host: Type.String({
          default: '127.0.0.1',
          minLength: 1,
          maxLength: 255,
          description: 'address to listen on; 0.0.0.0 or :: for all interfaces'
        }),
        port: whole(0, 65535, 8081, 'port; 0 for any free port'),
        socket: text(
          "Unix socket to listen on, instead of host and port; only root and the server's user may write to its folder"
        ),
        tlsCert: text('PEM file of the certificate and its chain; enables TLS 1.2 and 1.3, together with tls_key'),
        tlsKey: text('PEM file of the private key; only its owner may read it'),
        tlsClientCa: text(
          'PEM file of the certificate authorities for client certificates; an invalid client certificate fails ' +
            'the handshake'
        ),
        tlsClientRequired: flag(false, 'whether to require a client certificate'),
        hstsSeconds: whole(0, 63_072_000, 31_536_000, 'max-age of Strict-Transport-Security over TLS; 0: no header'),
        trustedProxies: texts(
          'addresses or CIDR blocks of reverse proxies, or "unix" for the Unix socket; ' +
            'only their X-Forwarded-For counts'
        ),
        allowHosts: texts('additional host names that clients may use'),
        allowOrigins: texts('origins of web pages that may call the API, for example https://app.example')
      },
      closed
    ),
    http: Type.Object(
      {
        bodyBytes: whole(1024, 64 << 20, 1 << 20, 'maximum size of a request body'),
        headerBytes: whole(1024, 256 << 10, 16 << 10, 'maximum size of all headers of a request'),
        headers: whole(8, 1000, 64, 'maximum number of headers of a request'),
        urlBytes: whole(64, 8192, 512, 'maximum length of the request target'),
        jsonDepth: whole(4, 256, 16, 'maximum nesting depth of JSON'),
        unknownFields: choice(
          ['refuse', 'ignore'],
          'how to treat a field that docs/reference/request-fields.md does not list; "ignore": drop it and name it ' +
            'in the log'
        ),
        headerSeconds: whole(1, 300, 10, 'time limit for sending the headers'),
        requestSeconds: whole(1, 3600, 30, 'time limit for sending a whole request'),
        idleSeconds: whole(1, 3600, 5, 'time limit of an idle connection'),
        slowReaderSeconds: whole(
          1,
          3600,
          30,
          'time limit of a client that reads nothing of its answer; a whole answer also ends below 16 KiB/s'
        ),
        keepAliveSeconds: whole(
          0,
          3600,
          10,
          'interval of SSE comments while a stream has nothing to send, so that no proxy closes it; 0: none'
        ),
        connections: whole(
          1,
          1_000_000,
          1024,
          'maximum number of connections; a quarter is reserved for authenticated ones'
        ),
        connectionsPerAddress: whole(
          1,
          1_000_000,
          64,
          'maximum number of connections per address; more for its networks (docs/reference/limits.md), no limit ' +
            'for trusted proxies'
        )
      },
      closed
    ),
    inference: Type.Object(
      {
        parallel: whole(1, 256, 16, 'maximum number of running generations (the batch)'),
        queue: whole(0, 10_000, 64, 'maximum number of waiting generations; more get 503'),
        requestTimeoutSeconds: whole(1, 86_400, 600, 'time limit of a request'),
        context: limit(0, "context length in tokens, at most the model's"),
        promptTokens: limit(0, 'maximum length of a prompt'),
        outputTokens: limit(0, 'maximum number of tokens that a request may ask for'),
        cacheMib: whole(
          0,
          1 << 24,
          0,
          'size of the KV cache in MiB, shared by all generations; a generation starts when the cache has room ' +
            'for its prompt and longest answer; 0: a quarter of the memory that the weights leave free'
        ),
        kvCacheType: choice(
          ['auto', ...cacheTypes],
          'element type of the KV cache; f16 halves its memory and rounds keys and values, so answers depend on ' +
            'it (docs/internals/generation.md); "auto": f32 for models that Verit trains (gpt, bitnet), f16 for ' +
            'all others'
        ),
        prefixReuse: flag(
          true,
          'whether prompts reuse the prefix cache of the same owner, or of the same key if it has no owner; never ' +
            'of others'
        ),
        memoryMib: whole(
          0,
          1 << 24,
          0,
          "memory limit of the runner in MiB, beyond Node's own (Linux); 0: four times the file, plus a quarter " +
            "of the machine's memory, plus 2 GiB, at most the machine's memory"
        ),
        chatTemplate: text(
          "Jinja chat template to use instead of the model's, at most 64 KiB; others must not have write access"
        ),
        endTokens: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
          default: [],
          maxItems: 64,
          description: 'additional tokens that end an answer, by their text or id'
        }),
        threads: whole(0, 1024, 0, 'compute threads; 0: one per core, or per processor of cores'),
        cores: text('processors to pin the compute threads to, in turn, for example 0-3,5 (Linux); empty: no pinning'),
        packing: choice(
          ['auto', ...ternaryPackings],
          'packing of ternary weights in memory; "auto": the fastest here (`verit tune` measures it)'
        ),
        headScreen: choice(
          ['auto', 'on', 'off'],
          'output-head screening: compute only the logits of an f16 head that can matter, exactly ' +
            '(docs/internals/output-head-screening.md); "auto": for heads of 64 MiB or more; "on": refuse models ' +
            'that do not support it'
        ),
        speculate: choice(
          ['auto', 'on', 'off'],
          'speculative decoding by prompt lookup (docs/internals/generation.md); "auto": where measured to be faster'
        ),
        instructionSet: choice(
          ['auto', ...instructionSetNames],
          'instruction set of the kernels; "auto": the fastest here'
        ),
        requireSandbox: flag(
          false,
          'whether to refuse a start if the sandbox of the runner is incomplete (docs/internals/sandbox.md)'
        )
      },
      closed
    ),
    keys: Type.Object(
      {
        requestsPerMinute: limit(600, 'rate limit of requests per key'),
        tokensPerMinute: limit(0, 'rate limit of tokens per key, prompt and answer'),
        bytesPerMinute: limit(
          64 << 20,
          'rate limit of request bodies per key, refused ones included; always allows one body of http.body_bytes'
        ),
        streams: whole(1, 10_000, 16, 'maximum number of generations per key, running and waiting'),
        tokensPerDay: limit(0, 'token budget per key and UTC day'),
        tokensPerMonth: limit(0, 'token budget per key and UTC month')
      },
      closed
    ),
    addresses: Type.Object(
      {
        requestsPerMinute: limit(1200, 'rate limit of requests per address'),
        tokensPerMinute: limit(0, 'rate limit of tokens per address, prompt and answer'),
        streams: whole(1, 100_000, 64, 'maximum number of generations per address, running and waiting'),
        failuresPerMinute: whole(
          1,
          100_000,
          30,
          'refused requests per address, or per key over its limits, that get their own audit entry; the rest are ' +
            'counted'
        ),
        allFailuresPerMinute: whole(
          1,
          1_000_000,
          600,
          'refused requests of all addresses that get their own audit entry and log line; the rest are counted'
        )
      },
      closed
    ),
    signing: Type.Object(
      {
        windowSeconds: whole(
          5,
          3600,
          60,
          'maximum difference between `created` of a signed request and the time of the store (docs/internals/keys.md)'
        ),
        responses: choice(
          ['signed', 'all', 'none'],
          'answers that the server signs: those to signed requests, all, or none'
        )
      },
      closed
    ),
    audit: Type.Object(
      {
        enabled: flag(
          true,
          'whether to keep an audit log; the next log records a period without one (docs/internals/audit-log.md)'
        ),
        origin: Type.String({
          default: '',
          maxLength: 200,
          description:
            'name of the log in its checkpoints, for example verit.example/gpu1; default: verit/ and the first ' +
            'digits of its key'
        }),
        textsKey: text(
          'public key file (verit audit texts-key) to which texts of requests are encrypted and kept; empty: no ' +
            'texts are kept'
        ),
        textsDays: whole(
          1,
          36_500,
          30,
          'retention in days of texts and of the salts of their commitments; entries are never deleted'
        )
      },
      closed
    ),
    watch: Type.Object(
      {
        enabled: flag(true, 'whether to detect unusual use'),
        throttle: flag(false, 'whether to limit a key to a tenth of its rate for ten minutes after an alert'),
        webhookUrl: text(
          'https address of the webhook for alerts (Standard Webhooks); VERIT_WEBHOOK_SECRET has its secret'
        )
      },
      closed
    ),
    trust: Type.Object(
      {
        policy: text('trust policy file (docs/internals/model-signing.md); default: trust.toml in the state folder'),
        allowUnsigned: flag(false, 'whether to serve a model without a trusted signature or digest')
      },
      closed
    ),
    securityTxt: Type.Object(
      {
        contact: texts(
          'Contact lines of /.well-known/security.txt: mailto:, https: or tel:; without any, the address answers 404'
        ),
        expires: text('Expires, ISO 8601, less than a year ahead; default: 180 days after it is read'),
        policy: text('Policy, an https address'),
        canonical: text('Canonical, an https address')
      },
      closed
    )
  },
  closed
)
export type ServerConfig = Static<typeof ServerConfig>

/** The default configuration. */
export function defaultConfig(): ServerConfig {
  const section = (s: object): object =>
    Object.fromEntries(
      Object.entries(s).map(([key, field]) => [key, structuredClone((field as { default: unknown }).default)])
    )
  return Object.fromEntries(
    Object.entries(ServerConfig.properties).map(([key, s]) => [key, section(s.properties)])
  ) as ServerConfig
}
