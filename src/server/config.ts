/**
 * Every setting of the server, in one schema: names, ranges, defaults and what they mean. A configuration file (TOML)
 * has the same sections with the same names in snake_case; flags of `verit serve` come after it. docs/configuration.md
 * is made from here (`node scripts/config-docs.ts`). Secrets do not stand here: they come from files or the
 * environment.
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
          description: 'address to listen on; 0.0.0.0 or :: for all of this machine'
        }),
        port: whole(0, 65535, 8081, 'port; 0 takes a free one'),
        socket: text(
          'path of a Unix socket to listen on, instead of host and port; its folder must belong to root or the ' +
            "server's user, and nobody else may write to it"
        ),
        tlsCert: text(
          'PEM file of the certificate and its chain; with tls_key, the server speaks TLS 1.2 and 1.3 only'
        ),
        tlsKey: text('PEM file of the private key; only its owner may read it'),
        tlsClientCa: text(
          'PEM file of the authorities whose client certificates are asked for; one that does not verify is ' +
            'refused at the handshake'
        ),
        tlsClientRequired: flag(false, 'whether a connection without a client certificate is refused, too'),
        hstsSeconds: whole(
          0,
          63_072_000,
          31_536_000,
          'Strict-Transport-Security, where the server speaks TLS; 0: none'
        ),
        trustedProxies: texts(
          'addresses or CIDR blocks of reverse proxies, or "unix" for the Unix socket: X-Forwarded-For is ' +
            'believed only from these'
        ),
        allowHosts: texts('further host names by which clients may reach the server'),
        allowOrigins: texts('origins whose web pages may call, for example https://app.example')
      },
      closed
    ),
    http: Type.Object(
      {
        bodyBytes: whole(1024, 64 << 20, 1 << 20, 'largest body'),
        headerBytes: whole(1024, 256 << 10, 16 << 10, 'all headers of a request together'),
        headers: whole(8, 1000, 64, 'headers of a request'),
        urlBytes: whole(64, 8192, 512, 'length of the address in a request'),
        jsonDepth: whole(4, 256, 16, 'nesting of JSON'),
        unknownFields: choice(
          ['refuse', 'ignore'],
          'how to treat a field that docs/server.md does not list; "ignore": drop it and name it in the log'
        ),
        headerSeconds: whole(1, 300, 10, 'time to send the headers'),
        requestSeconds: whole(1, 3600, 30, 'time to send a whole request'),
        idleSeconds: whole(1, 3600, 5, 'time a connection may stay open between requests'),
        slowReaderSeconds: whole(
          1,
          3600,
          30,
          'time a client may read nothing of an answer; a whole answer also ends below 16 KiB/s'
        ),
        keepAliveSeconds: whole(
          0,
          3600,
          10,
          'time after which a stream with nothing to send sends a comment, so that no proxy ends it; 0: never'
        ),
        connections: whole(1, 1_000_000, 1024, 'connections at once; a quarter is reserved for authenticated ones'),
        connectionsPerAddress: whole(
          1,
          1_000_000,
          64,
          'connections of one address at once; its networks have more (docs/limits.md), trusted proxies are exempt'
        )
      },
      closed
    ),
    inference: Type.Object(
      {
        parallel: whole(1, 256, 16, 'generations side by side (the batch)'),
        queue: whole(0, 10_000, 64, 'generations that wait; more are answered 503'),
        requestTimeoutSeconds: whole(1, 86_400, 600, 'longest time a request may take'),
        context: limit(0, "positions a sequence may have, at most the model's"),
        promptTokens: limit(0, 'tokens of a prompt'),
        outputTokens: limit(0, 'tokens that one request may ask for'),
        cacheMib: whole(
          0,
          1 << 24,
          0,
          'key and value cache in MiB, shared by the generations; one joins when there is room for its prompt and ' +
            'its longest answer; 0: a quarter of the memory that the weights leave free'
        ),
        kvCacheType: choice(
          ['auto', ...cacheTypes],
          'element type of the key and value cache; f16 takes half the memory and rounds keys and values, so ' +
            'answers depend on it (docs/generation.md); "auto": f32 for the models that Verit trains (gpt, ' +
            'bitnet), f16 for all others'
        ),
        prefixReuse: flag(
          true,
          'whether what was computed for the beginning of a prompt is used again for later prompts of the same ' +
            'owner (of the same key, where it has none); never for others'
        ),
        memoryMib: whole(
          0,
          1 << 24,
          0,
          "memory that the runner may take beyond Node's own, in MiB, touched or not (Linux); 0: four times the " +
            "file, a quarter of the machine's for the key and value cache, and 2 GiB, at most the machine's"
        ),
        chatTemplate: text(
          "Jinja file of a chat template, at most 64 KiB, to use in place of the model's own; others must not be " +
            'able to change it'
        ),
        endTokens: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
          default: [],
          maxItems: 64,
          description: "tokens that end an answer besides those of the model's file, each by its text or its id"
        }),
        threads: whole(
          0,
          1024,
          0,
          'threads that compute; 0: one for each of the cores that are named, or for each core that the server may use'
        ),
        cores: text(
          'processors that these threads are tied to in turn, as the system numbers them, for example 0-3,5 ' +
            '(Linux); empty: the system moves them as it sees fit'
        ),
        packing: choice(
          ['auto', ...ternaryPackings],
          'how ternary weights are kept; "auto": as this machine reads them fastest (`verit tune` measures it)'
        ),
        headScreen: choice(
          ['auto', 'on', 'off'],
          'whether an f16 head gets a copy in 6 bits that says which of its rows can matter for a token, so that ' +
            'only these are computed, exactly (docs/screened-head.md); "auto": from 64 MiB on; "on": a model of ' +
            'which that cannot be is refused'
        ),
        speculate: choice(
          ['auto', 'on', 'off'],
          'speculative decoding by prompt lookup: draft tokens from the prompt and the answer so far are verified ' +
            'in one run (docs/generation.md); "auto": where that was measured to be faster'
        ),
        instructionSet: choice(
          ['auto', ...instructionSetNames],
          'which of the processor\'s instructions compute; "auto": the fastest here'
        ),
        requireSandbox: flag(
          false,
          'whether the server refuses to start where the runner cannot be locked completely (docs/sandbox.md)'
        )
      },
      closed
    ),
    keys: Type.Object(
      {
        requestsPerMinute: limit(600, 'requests of one key'),
        tokensPerMinute: limit(0, 'prompt and completion tokens of one key'),
        bytesPerMinute: limit(
          64 << 20,
          'bytes of the request bodies of one key, refused ones too; it always allows one body of http.body_bytes'
        ),
        streams: whole(1, 10_000, 16, 'generations of one key, running and waiting'),
        tokensPerDay: limit(0, 'budget of one key for a UTC day'),
        tokensPerMonth: limit(0, 'budget of one key for a UTC month')
      },
      closed
    ),
    addresses: Type.Object(
      {
        requestsPerMinute: limit(1200, 'requests of one address'),
        tokensPerMinute: limit(0, 'prompt and completion tokens of one address'),
        streams: whole(1, 100_000, 64, 'generations of one address, running and waiting'),
        failuresPerMinute: whole(
          1,
          100_000,
          30,
          'refused requests of one address (or of one key beyond its limits) that get an audit entry each in a ' +
            'minute; the rest are counted'
        ),
        allFailuresPerMinute: whole(
          1,
          1_000_000,
          600,
          'refused requests of all addresses together that get an audit entry and a line of the log each in a ' +
            'minute; the rest are counted'
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
          'how far `created` of a signed request may lie from the time of the store (docs/keys.md)'
        ),
        responses: choice(
          ['signed', 'all', 'none'],
          'which answers the server signs: those to signed requests, all, or none'
        )
      },
      closed
    ),
    audit: Type.Object(
      {
        enabled: flag(true, 'whether to keep an audit log; the next log records a period without one (docs/audit.md)'),
        origin: Type.String({
          default: '',
          maxLength: 200,
          description:
            'name of the log in its checkpoints, for example verit.example/gpu1; default: verit/ and the first ' +
            'digits of its key'
        }),
        textsKey: text(
          'public key file (verit audit texts-key): texts of requests are kept, encrypted to its owner; empty: no ' +
            'texts are kept'
        ),
        textsDays: whole(
          1,
          36_500,
          30,
          'days after which texts, and what could prove guesses of them, are deleted; entries never are'
        )
      },
      closed
    ),
    watch: Type.Object(
      {
        enabled: flag(true, 'whether unusual use is looked for'),
        throttle: flag(
          false,
          'whether a key that draws an alert is slowed down to a tenth of its rate for ten minutes'
        ),
        webhookUrl: text(
          'https address that alerts are sent to (Standard Webhooks); the secret comes from VERIT_WEBHOOK_SECRET ' +
            'or its file'
        )
      },
      closed
    ),
    trust: Type.Object(
      {
        policy: text(
          'file that says which models are trusted (docs/models.md); default: trust.toml in the state folder'
        ),
        allowUnsigned: flag(
          false,
          'whether a model is served that neither a trusted signature nor a trusted digest vouches for'
        )
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

/** The configuration that nothing has been said about. */
export function defaultConfig(): ServerConfig {
  const section = (s: object): object =>
    Object.fromEntries(
      Object.entries(s).map(([key, field]) => [key, structuredClone((field as { default: unknown }).default)])
    )
  return Object.fromEntries(
    Object.entries(ServerConfig.properties).map(([key, s]) => [key, section(s.properties)])
  ) as ServerConfig
}
