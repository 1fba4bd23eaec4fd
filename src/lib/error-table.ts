/**
 * Every error that Verit raises on purpose, in one table: a stable code, a message built from typed fields, a second
 * sentence with the remedy, the HTTP status of the gateway, and the exit status of the command.
 * `docs/reference/errors.md` is generated from it (`node scripts/error-docs.ts`); a test compares them.
 */
import { shellPath } from './shell-word.ts'

export interface Row<F> {
  /** The problem. One sentence without a full stop. */
  what: (f: F) => string
  /** The remedy. One sentence without a full stop. */
  next: (f: F) => string
  /** The remedy for a client over HTTP, which has no docs folder and no options. Default: `next`. */
  overHttp?: (f: F) => string
  /** HTTP status when the error ends a request. Default 500. */
  status?: number
  /** Exit status of the command: 1 failure (default), 2 usage, 130 interrupted. */
  exit?: number
}

function row<F>(r: Row<F>): Row<F> {
  return r
}

const MORE_THAN_THE_LIMIT = 'This request alone asks for more; ask for less'
/** Number of tokens in a prompt. Counting may have stopped at the limit, so it can be a lower bound. */
const some = (f: { tokens: number; orMore?: boolean }): string =>
  `${plural(f.tokens, 'token')}${f.orMore === true ? ' or more' : ''}`
/** The next step of this case, or the usual one. */
const fixOr = (fix: unknown, usual: string): string => (typeof fix === 'string' ? fix : usual)

export const plural = (n: number, one: string): string => `${n} ${one}${n === 1 ? '' : 's'}`

export const errorTable = {
  VERIT_USAGE: row<{ problem: string; hint: string }>({
    what: f => f.problem,
    next: f => f.hint,
    status: 400,
    exit: 2
  }),
  VERIT_FILE_NOT_FOUND: row<{ path: string; purpose: string }>({
    what: f => `There is no file or folder ${f.path} (${f.purpose})`,
    next: () => 'Check the path',
    exit: 2
  }),
  VERIT_FILE_EXISTS: row<{ path: string }>({
    what: f => `${f.path} exists already and would be overwritten`,
    next: () => 'Choose another name; commands that may replace it take --force',
    exit: 2
  }),
  VERIT_FILE_KIND: row<{ path: string; kind: string }>({
    what: f => `${f.path} is ${f.kind}, not a regular file`,
    next: () => 'Give the path of a regular file',
    exit: 2
  }),
  VERIT_FILE_IO: row<{ path: string; action: 'read' | 'write'; reason: string }>({
    what: f => `Could not ${f.action} ${f.path}: ${f.reason}`,
    next: () => 'Check the file, its permissions and the disk, then try again'
  }),
  VERIT_GGUF: row<{ file: string; offset: number; problem: string; fix?: string }>({
    what: f => `${f.file} cannot be used as a GGUF file: at byte ${f.offset}, ${f.problem}`,
    next: f =>
      fixOr(
        f.fix,
        'Get the file again from its source and compare its SHA-256; docs/internals/formats.md lists ' +
          'what is refused'
      )
  }),
  VERIT_SAFETENSORS: row<{ file: string; offset: number; problem: string; fix?: string }>({
    what: f => `${f.file} cannot be used as a safetensors file: at byte ${f.offset}, ${f.problem}`,
    next: f =>
      fixOr(
        f.fix,
        'Get the file again from its source and compare its SHA-256; docs/internals/formats.md lists ' +
          'what is refused'
      )
  }),
  VERIT_TORCH_FILE: row<{ file: string; offset: number; problem: string }>({
    what: f => `${f.file} cannot be used as weights of PyTorch: at byte ${f.offset}, ${f.problem}`,
    next: () =>
      'Save the weights with torch.save(model.state_dict(), FILE) of PyTorch 1.6 or later, or as safetensors; ' +
      'docs/internals/formats.md lists what is refused'
  }),
  VERIT_TENSOR: row<{ tensor: string; problem: string }>({
    what: f => `Tensor ${f.tensor}: ${f.problem}`,
    next: () =>
      'The file was damaged or written by a program that packs this type differently: see ' +
      'docs/internals/formats.md'
  }),
  VERIT_MODEL_WRITE: row<{ file: string; problem: string }>({
    what: f => `${f.file} was not written: ${f.problem}`,
    next: () => 'Change the names, shapes or values concerned; docs/internals/formats.md lists the limits'
  }),
  VERIT_SHAPE: row<{ op: string; problem: string; shapes: string }>({
    what: f => `Op ${f.op}: ${f.problem} (shapes ${f.shapes})`,
    next: () => 'Check the model configuration against the tensors it names'
  }),
  VERIT_TOKENIZER_FILE: row<{ source: string; problem: string; fix?: string }>({
    what: f => `The tokenizer in ${f.source} cannot be used: ${f.problem}`,
    next: f =>
      fixOr(
        f.fix,
        'docs/internals/formats.md lists the kinds of tokenizer that are supported; verit tokenizer ' +
          'train makes one'
      )
  }),
  VERIT_SENTENCEPIECE: row<{ file: string; offset: number; problem: string }>({
    what: f => `${f.file} cannot be used as a SentencePiece model: at byte ${f.offset}, ${f.problem}`,
    next: () =>
      'Get the file again from its source and compare its SHA-256; docs/internals/formats.md lists what ' + 'is refused'
  }),
  VERIT_TOKENIZER_CHARACTER: row<{ character: string }>({
    what: f => `The character ${JSON.stringify(f.character)} is not in the vocabulary of this character tokenizer`,
    next: () => 'Remove it from the text, or train with --tokenizer-kind bpe, which encodes every character',
    status: 400,
    overHttp: () => 'Remove it from the text'
  }),
  VERIT_TOKEN_ID: row<{ id: number; vocabSize: number }>({
    what: f => `There is no token ${f.id}: the vocabulary has ${f.vocabSize} tokens`,
    next: () => `Use ids from 0 to the vocabulary size less one`,
    status: 400
  }),
  VERIT_MODEL_CONFIG: row<{ field: string; problem: string }>({
    what: f => `The model configuration cannot be used: ${f.field} ${f.problem}`,
    next: () => 'Correct that field; docs/internals/training.md lists them all with their ranges',
    status: 400,
    exit: 2,
    overHttp: () => 'Correct that field'
  }),
  VERIT_TRAIN_OPTION: row<{ option: string; problem: string }>({
    what: f => `The training option ${f.option} ${f.problem}`,
    next: () => 'Correct it; `verit train --help` lists every option and its default',
    exit: 2
  }),
  VERIT_CHECKPOINT: row<{ path: string; problem: string }>({
    what: f => `The checkpoint ${f.path} cannot be used: ${f.problem}`,
    next: () => 'Move that file away to resume from the checkpoint before it, or start a new run'
  }),
  VERIT_RESUME: row<{ run: string; problem: string }>({
    what: f => `The run in ${f.run} cannot be resumed: ${f.problem}`,
    next: () => 'Resume with the data and options it was started with, or start a new run in another folder',
    exit: 2
  }),
  VERIT_RESUME_DATA: row<{ run: string; problem: string; command: string }>({
    what: f => `The run in ${f.run} cannot be used: ${f.problem}`,
    next: f => `Name the folder of its dataset: ${f.command}`,
    exit: 2
  }),
  VERIT_RUN_EXISTS: row<{ run: string }>({
    what: f => `${f.run} already holds a training run`,
    next: f => `Continue it with \`verit train --resume ${shellPath(f.run)}\`, or choose another folder with --out`,
    exit: 2
  }),
  VERIT_DIVERGED: row<{ step: number; what: string; saved: string }>({
    what: f => `Training stopped at step ${f.step}: the ${f.what} is no longer a finite number; ${f.saved}`,
    next: () => 'Start again with a lower --lr, a longer --warmup or a smaller --clip'
  }),
  VERIT_MODEL_FILE: row<{ file: string; problem: string; fix?: string }>({
    what: f => `${f.file} is not a model that Verit can run: ${f.problem}`,
    next: f =>
      fixOr(
        f.fix,
        'docs/internals/formats.md lists the architectures and tensor types that are supported; `verit inspect` ' +
          'shows what ' +
          'the file holds'
      )
  }),
  VERIT_EVAL_DATA: row<{ source: string; problem: string; fix: string }>({
    what: f => `${f.source} cannot be evaluated: ${f.problem}`,
    next: f => f.fix,
    exit: 2
  }),
  VERIT_DATA_UTF8: row<{ path: string; offset: number }>({
    what: f => `${f.path} is not UTF-8 text: the byte at offset ${f.offset} cannot be part of it`,
    next: f =>
      f.path === 'standard input'
        ? 'Convert the text to UTF-8 first'
        : 'Convert the file to UTF-8, or let `verit prepare --replace-invalid` read such bytes as U+FFFD'
  }),
  VERIT_DATA_KIND: row<{ path: string; what: string; next: string }>({
    what: f => `${f.path} is ${f.what}${/, not /.test(f.what) ? '' : ', not plain text in UTF-8'}`,
    next: f => f.next,
    exit: 2
  }),
  VERIT_DATA_EMPTY: row<{ what: string; hint: string }>({
    what: f => `There is no text: ${f.what}`,
    next: f => f.hint,
    exit: 2
  }),
  VERIT_DATA_CHANGED: row<{ path: string }>({
    what: f => `${f.path} changed while it was being prepared`,
    next: () => 'Run the command again once nothing writes to the inputs any more'
  }),
  VERIT_DATASET: row<{ path: string; problem: string }>({
    what: f => `The dataset file ${f.path} cannot be used: ${f.problem}`,
    next: () => 'Make the dataset again with verit prepare'
  }),
  VERIT_PLAN: row<{ problem: string }>({
    what: f => `A plan cannot run: ${f.problem}`,
    next: () => 'Check the sizes and indices given to it (token ids, positions, cache rows)'
  }),
  VERIT_MEMORY: row<{ problem: string }>({
    what: f => `There is not enough memory: ${f.problem}`,
    next: () => 'Use a smaller batch, context or model, or free memory',
    status: 503
  }),
  VERIT_STATE: row<{ path: string; problem: string; fix: string }>({
    what: f => `The state of the server, ${f.path}, cannot be used: ${f.problem}`,
    next: f => f.fix
  }),
  VERIT_STORE: row<{ path: string; reason: string }>({
    what: f => `The key store ${f.path} cannot be used: ${f.reason}`,
    next: () => 'Check the file and the disk, or the database server; requests are refused until it works'
  }),
  VERIT_KEY_OPTION: row<{ field: string; problem: string }>({
    what: f => `The key was not created or changed: ${f.field} ${f.problem}`,
    next: () => 'Correct it; docs/internals/keys.md lists every field with its range',
    status: 400,
    exit: 2,
    overHttp: () => 'Correct it and send the request again'
  }),
  VERIT_NONCES: row<{ limit: number }>({
    what: f => `This credential has used ${f.limit} nonces that have not expired, which is the most that are kept`,
    next: () => 'Sign fewer requests a minute, or spread them over several keys',
    status: 429
  }),
  VERIT_DATABASE_URL: row<{ problem: string }>({
    what: f => `The address of the database cannot be used: ${f.problem}`,
    next: () => 'docs/internals/keys.md says what VERIT_DATABASE_URL may hold',
    exit: 2
  }),
  VERIT_UNAVAILABLE: row<{ what: string }>({
    what: f => `The server cannot answer now: its ${f.what} failed`,
    next: () => 'Try again later; the log of the server has the details',
    status: 503
  }),
  VERIT_RUNNER_FRAME: row<{ problem: string }>({
    what: f => `Invalid message between gateway and runner: ${f.problem}`,
    next: () => 'Either a bug in Verit or a hostile model file: replace the file if you do not trust it'
  }),
  VERIT_RUNNER_DIED: row<{ how: string }>({
    what: f => `The runner ended before the answer was complete (${f.how})`,
    next: () => 'Send the request again; the process is being restarted',
    status: 502
  }),
  VERIT_ANSWER_TEXT: row<Record<never, never>>({
    what: () => 'The answer was cut off: its tokens have more than 128 characters each on average',
    next: () => 'Ask for fewer tokens, or for fewer alternatives of each',
    status: 502
  }),
  VERIT_ANSWER_MEMORY: row<{ mebibytes: number }>({
    what: f => `Answers that are not streamed take more than ${f.mebibytes} MiB together, and this one was the largest`,
    next: () => 'Send the request again with "stream": true, or ask for fewer tokens or log probabilities',
    status: 503
  }),
  VERIT_SANDBOX: row<{ missing: string; fix: string }>({
    what: f => `The sandbox that require_sandbox demands is not available: ${f.missing}`,
    next: f => f.fix
  }),
  VERIT_DEBUGGER: row<{ option: string; danger: string }>({
    what: f => `The server does not start: ${f.option} ${f.danger}`,
    next: () => 'Remove it from the command line and from NODE_OPTIONS, or add --allow-debugger to debug Verit itself',
    exit: 2
  }),
  VERIT_LOADING: row<{ model: string }>({
    what: f => `The model ${f.model} is not loaded yet`,
    next: () => 'Try again in a moment',
    status: 503
  }),
  VERIT_TOO_MANY: row<{ limit: number }>({
    what: f => `This key already has ${f.limit} running requests, which is its limit`,
    next: () => 'Wait for one of them to end',
    status: 429
  }),
  VERIT_TIMEOUT: row<{ seconds: number }>({
    what: f => `The request took more than ${f.seconds} s`,
    next: () => 'Ask for fewer tokens, or raise --request-timeout',
    status: 504,
    overHttp: () => 'Ask for fewer tokens'
  }),
  VERIT_STOPPING: row<{ what: string }>({
    what: f => `The server is stopping and ${f.what}`,
    next: () => 'Send the request again once it is back',
    status: 503
  }),
  VERIT_UNAUTHORIZED: row<{ problem: string }>({
    what: f => `A valid API key is required: ${f.problem}`,
    next: () => 'Send it as "Authorization: Bearer verit_..."',
    status: 401
  }),
  VERIT_SIGNATURE: row<{ problem: string }>({
    what: f => `The signature of this message cannot be accepted: ${f.problem}`,
    next: () => 'docs/reference/request-signing.md says exactly what is signed and how',
    status: 401,
    overHttp: () => 'Check the key and the clock, and sign the request again'
  }),
  VERIT_CLOCK: row<{ problem: string; retryAfter: number }>({
    what: f => `Signed requests cannot be checked now: ${f.problem}`,
    next: () => 'Try again later; docs/internals/keys.md tells the operator of the server what to do',
    status: 503,
    overHttp: () => 'Try again later'
  }),
  VERIT_KEY_FILE: row<{ path: string; problem: string; fix: string }>({
    what: f => `The key file ${f.path} cannot be used: ${f.problem}`,
    next: f => f.fix,
    exit: 2
  }),
  VERIT_CLIENT: row<{ problem: string; fix: string }>({
    what: f => `The request was not sent: ${f.problem}`,
    next: f => f.fix,
    exit: 2
  }),
  VERIT_ANSWER: row<{ problem: string }>({
    what: f => `The answer of the server cannot be trusted: ${f.problem}`,
    next: () =>
      'Do not use it; look for a proxy between you and the server, or check that you have the public key of ' +
      'this server'
  }),
  VERIT_CONNECT: row<{ url: string; reason: string }>({
    what: f => `${f.url} could not be reached: ${f.reason}`,
    next: () => 'Check the address, and that the server runs (verit serve)'
  }),
  VERIT_CALL: row<{ status: number; problem: string }>({
    what: f => `The server answered ${f.status}: ${f.problem}`,
    next: () => 'docs/reference/errors.md explains the codes, docs/reference/http-api.md the routes'
  }),
  VERIT_PUBLIC_KEY: row<{ problem: string }>({
    what: f => `The public key cannot be used: ${f.problem}`,
    next: () => 'Give the public half of an Ed25519 key: PEM (BEGIN PUBLIC KEY), or base64 of its DER form',
    status: 400,
    exit: 2
  }),
  VERIT_FORBIDDEN: row<{ problem: string }>({
    what: f => `This request is not allowed: ${f.problem}`,
    next: () => 'Ask the operator of the server to allow it',
    status: 403
  }),
  VERIT_NOT_FOUND: row<{ what: string }>({
    what: f => `There is no ${f.what} here`,
    next: () => 'docs/reference/http-api.md lists the routes; GET /v1/models lists the models',
    status: 404,
    overHttp: () => 'GET /v1/models lists the models'
  }),
  VERIT_METHOD: row<{ allowed: string }>({
    what: f => `This address takes ${f.allowed} only`,
    next: () => 'Use that method',
    status: 405
  }),
  VERIT_BODY_TOO_LARGE: row<{ limit: number }>({
    what: f => `The body has more than ${f.limit} bytes`,
    next: () => 'Send a smaller body',
    status: 413
  }),
  VERIT_CONTENT_TYPE: row<{ problem: string }>({
    what: f => `The body cannot be read: ${f.problem}`,
    next: () => 'Send UTF-8 JSON, uncompressed, with "Content-Type: application/json"',
    status: 415
  }),
  VERIT_JSON: row<{ problem: string }>({
    what: f => `The body is not acceptable JSON: ${f.problem}`,
    next: () => 'Send one JSON object within these limits',
    status: 400
  }),
  VERIT_HTTP: row<{ problem: string }>({
    what: f => `The HTTP request is refused: ${f.problem}`,
    next: () => 'Correct the request and send it again',
    status: 400
  }),
  VERIT_EXPECTATION: row<object>({
    what: () => 'The Expect header asks for something that this server does not support',
    next: () => 'Leave the header out, or send "Expect: 100-continue"',
    status: 417
  }),
  VERIT_CONFIG: row<{ source: string; field: string; problem: string }>({
    what: f => `${f.source}: ${f.field} ${f.problem}`,
    next: () => 'Correct it; docs/reference/configuration.md lists every setting with its range and default',
    exit: 2
  }),
  VERIT_LISTEN: row<{ address: string; reason: string }>({
    what: f => `The server cannot listen on ${f.address}: ${f.reason}`,
    next: () => 'Stop what uses it, or choose another address (--host and --port, or --socket)'
  }),
  VERIT_NO_MODEL: row<{ path: string }>({
    what: f => `No model was named, and the default model ${f.path} is not there`,
    next: () => 'Name a GGUF file, for example: verit serve model.gguf',
    exit: 2
  }),
  VERIT_REQUEST: row<{ field: string; problem: string; instead?: string }>({
    what: f => `${f.field} ${f.problem}`,
    next: f => f.instead ?? 'Correct it; docs/internals/generation.md lists every parameter with its range',
    status: 400,
    exit: 2,
    overHttp: f => f.instead ?? 'Correct it and send the request again'
  }),
  VERIT_PROMPT_LENGTH: row<{ tokens: number; context: number; orMore?: boolean }>({
    what: f =>
      `The prompt has ${some(f)}; the maximum context length is ${plural(f.context, 'token')} ` +
      'and must leave room for one output token',
    next: () => 'The prompt is too long: shorten it; Verit cuts nothing off',
    status: 400,
    exit: 2
  }),
  VERIT_PROMPT_LIMIT: row<{ tokens: number; limit: number; orMore?: boolean }>({
    what: f =>
      `The prompt has ${some(f)}; ` +
      `the maximum context length for prompts of this key is ${plural(f.limit, 'token')}`,
    next: () => 'The prompt is too long: shorten it, or ask the operator to raise the limit',
    status: 400,
    exit: 2
  }),
  VERIT_RATE_LIMIT: row<{ what: string; limit: number; seconds: number; retryAfter: number }>({
    what: f => `Too much at once: the limit is ${f.limit} ${f.what} in ${f.seconds} s`,
    next: f => (Number.isFinite(f.retryAfter) ? `Try again in ${plural(f.retryAfter, 'second')}` : MORE_THAN_THE_LIMIT),
    status: 429
  }),
  VERIT_BUDGET: row<{ window: string; asked: number; left: number; retryAfter: number }>({
    what: f =>
      `The budget of this key for the ${f.window} has ${plural(f.left, 'token')} left, and the request may take ` +
      `${f.asked}`,
    next: f =>
      `Ask for fewer tokens (max_tokens)${Number.isFinite(f.retryAfter) ? ', or wait for the next window' : ''}`,
    status: 429
  }),
  VERIT_RATE_STATE: row<{ reason: string }>({
    what: f => `The rate state (Valkey or Redis) cannot be used: ${f.reason}`,
    next: () => 'Check the server behind VERIT_RATE_URL; requests are refused until it answers'
  }),
  VERIT_BUSY: row<{ running: number; waiting: number }>({
    what: f => `The model is busy: ${plural(f.running, 'generation')} running and ${f.waiting} waiting`,
    next: () => 'Try again in a moment',
    status: 503
  }),
  VERIT_UNSUPPORTED: row<{ what: string; engine: string }>({
    what: f => `The engine ${f.engine} does not support ${f.what} yet`,
    next: () => 'Use an engine with that capability; `info.capabilities` of a loaded model lists them',
    status: 400,
    overHttp: () => 'Use a model with that capability; GET /v1/models lists the capabilities of each model'
  }),
  VERIT_ENGINE_CLOSED: row<{ model: string }>({
    what: f => `The model ${f.model} was closed`,
    next: () => 'Load it again',
    status: 503
  }),
  VERIT_LOGITS: row<{ problem: string }>({
    what: f => `The model's output cannot be used: ${f.problem}`,
    next: () =>
      'Keys and values of 65,520 or more overflow a KV cache of f16: choose f32 (kv_cache_type, --kv-cache-type, ' +
      'cacheType). ' +
      'With f32, the file was damaged or its training diverged: compare its SHA-256 with its source',
    overHttp: () => 'Tell the operator of the server'
  }),
  VERIT_CHAT: row<{ problem: string; /** The file of a template that is wrong. */ template?: string }>({
    what: f =>
      typeof f.template === 'string'
        ? `The chat template ${f.template} ${f.problem}`
        : `The conversation cannot be put to the model: ${f.problem}`,
    next: f =>
      typeof f.template === 'string'
        ? 'Give a Jinja chat template in UTF-8, at most 64 KiB (docs/internals/generation.md)'
        : 'docs/internals/generation.md says which messages a chat may have',
    status: 400,
    exit: 2,
    overHttp: () => 'Change the messages and send the request again'
  }),
  VERIT_NOTE: row<{ source: string; problem: string }>({
    what: f => `${f.source} cannot be used: ${f.problem}`,
    next: () => 'Get it again from where it came; docs/internals/audit-log.md describes the format',
    exit: 2
  }),
  VERIT_NOTE_UNSIGNED: row<{ source: string; key: string }>({
    what: f => `${f.source} is not signed by the key ${f.key}`,
    next: () =>
      'Compare the key with the one that `verit audit key` shows on the server: the name and the hash must be the same'
  }),
  VERIT_NOTE_SIGNATURE: row<{ source: string; key: string }>({
    what: f => `The signature of ${f.key} on ${f.source} is invalid`,
    next: () => 'The file was changed after signing, or the signature is forged: do not trust it'
  }),
  VERIT_AUDIT: row<{ problem: string }>({
    what: f => `The request cannot be recorded: ${f.problem}`,
    next: () => 'Try again later; Verit runs no request that it cannot record',
    status: 503
  }),
  VERIT_PROOF: row<{ source: string; problem: string }>({
    what: f => `The proof ${f.source} is invalid: ${f.problem}`,
    next: () => 'Ask for a new proof, and do not rely on this one'
  }),
  VERIT_BUNDLE: row<{ source: string; problem: string }>({
    what: f => `${f.source} cannot be used as the signature of a model: ${f.problem}`,
    next: () => 'Get it again from where the model came; docs/internals/model-signing.md says what is accepted'
  }),
  VERIT_SIGNER: row<{ source: string; problem: string }>({
    what: f => `${f.source} was not made by a trusted signer: ${f.problem}`,
    next: () => 'Check whose key it is before you trust it; docs/internals/model-signing.md shows how'
  }),
  VERIT_MODEL_SIGNATURE: row<{ source: string; problem: string }>({
    what: f => `The signature ${f.source} is invalid: ${f.problem}`,
    next: () => 'Do not use the model; get it and its signature again from their source'
  }),
  VERIT_MODEL_CHANGED: row<{ model: string; problem: string }>({
    what: f => `${f.model} is not the model that was signed: ${f.problem}`,
    next: () => 'Do not use it; get it again from its source'
  }),
  VERIT_MODEL_FILES: row<{ path: string; problem: string; fix: string }>({
    what: f => `${f.path} cannot be signed or verified: ${f.problem}`,
    next: f => f.fix
  }),
  VERIT_OTHERS_WRITE: row<{ path: string; mode: string; command: string }>({
    what: f => `Other users can change ${f.path} (mode ${f.mode})`,
    next: f => `If nobody else has changed it, run ${f.command}`
  }),
  VERIT_OTHERS_READ: row<{ path: string; mode: string; command: string }>({
    what: f => `${f.path} holds a secret, and other users can read or change it (mode ${f.mode})`,
    next: f => `If nobody else has used it, run ${f.command}; otherwise replace the secret`
  }),
  VERIT_OTHERS_OWN: row<{ path: string; owner: number; user: number }>({
    what: f => `${f.path} belongs to another user (user id ${f.owner}), who can change it`,
    next: f =>
      `If its content is what you expect, run chown ${f.user} ${shellPath(f.path)} (or chown root), ` +
      'or run Verit as its owner'
  }),
  VERIT_TRUST: row<{ path: string; problem: string }>({
    what: f => `The trust policy ${f.path} cannot be used: ${f.problem}`,
    next: () => 'Correct it; docs/internals/model-signing.md lists all it may say',
    exit: 2
  }),
  VERIT_UNTRUSTED: row<{ model: string; problem: string; fix: string }>({
    what: f => `${f.model} is not served: ${f.problem}`,
    next: f => f.fix
  }),
  VERIT_WITNESS: row<{ source: string; problem: string }>({
    what: f => `${f.source} was not accepted: ${f.problem}`,
    next: () => 'If the log was set back or shows different histories, keep both checkpoints: together they prove it'
  }),
  VERIT_STATE_LOCKED: row<{ folder: string }>({
    what: f => `Another server uses the state folder ${f.folder}`,
    next: () =>
      'Stop it, or choose another folder with --state; ' +
      '`verit keys`, `verit audit` and `verit doctor` work beside it'
  }),
  VERIT_AUDIT_LOCKED: row<{ folder: string }>({
    what: f => `Another process writes the audit log ${f.folder}`,
    next: () => 'Stop it, or choose another folder with --state; reading and verifying work beside it'
  }),
  VERIT_AUDIT_DAMAGED: row<{ file: string; problem: string }>({
    what: f => `The audit log was damaged or changed: ${f.file}: ${f.problem}`,
    next: () =>
      'Nothing is written to it any more; run `verit audit verify`, keep the folder as evidence, and restore a ' +
      'backup or move it away to begin a new log'
  }),
  VERIT_AUDIT_ROLLBACK: row<{ folder: string; problem: string }>({
    what: f => `The audit log ${f.folder} does not continue the checkpoint in the database: ${f.problem}`,
    next: () =>
      'Keep the folder as evidence; restore the newer one, ' +
      'or move this one away to begin a new log (docs/internals/audit-log.md)'
  }),
  VERIT_AUDIT_ORIGIN: row<{ folder: string; origin: string; wanted: string }>({
    what: f => `The audit log ${f.folder} has the origin ${f.origin}, which cannot become ${f.wanted}`,
    next: () => 'Set this origin in the configuration, or move the folder away to begin a new log',
    exit: 2
  }),
  VERIT_PULL_SOURCE: row<{ source: string; problem: string }>({
    what: f => `The source ${f.source} ${f.problem}`,
    next: () =>
      'Write hf:OWNER/REPO/FILE, hf:OWNER/REPO@REVISION/FILE or https://HOST/PATH; ' +
      'docs/internals/pull.md has examples',
    exit: 2
  }),
  VERIT_PULL_ADDRESS: row<{ host: string; problem: string }>({
    what: f => `No request was sent to ${f.host}: ${f.problem}`,
    next: () =>
      'Models come from and go to public addresses over https; --allow-private allows hosts in your own network, ' +
      'and http on this machine'
  }),
  VERIT_PULL_REDIRECT: row<{ host: string; problem: string }>({
    what: f => `${f.host} answered with ${f.problem}`,
    next: () => 'Verit did not use this answer: use another source, or tell its operator'
  }),
  VERIT_PULL_CONNECTION: row<{ host: string; reason: string }>({
    what: f => `The download from ${f.host} was interrupted: ${f.reason}`,
    next: () => 'Check the address and the network, and run the same command again; it resumes if the host allows it'
  }),
  VERIT_PULL_ANSWER: row<{ host: string; problem: string; hint: string }>({
    what: f => `${f.host} refused the download: ${f.problem}`,
    next: f => f.hint
  }),
  VERIT_PULL_SIZE: row<{ source: string; size: number; limit: number; by: 'limit' | 'disk' }>({
    what: f =>
      `${f.source} has ${f.size} bytes, more than the ${f.limit} ` +
      `${f.by === 'limit' ? 'allowed' : 'that the disk has room for (1 GiB or 5 % of it stay free)'}`,
    next: f =>
      f.by === 'limit'
        ? 'If that is right, allow it with --max-size'
        : 'Make room (`verit models gc` removes what nothing refers to), or keep models elsewhere with --models'
  }),
  VERIT_PULL_DIGEST: row<{ source: string; wanted: string; got: string; by: string }>({
    what: f => `${f.source} is not the file that ${f.by} names: its digest is ${f.got}, not ${f.wanted}`,
    next: () => 'The download was deleted; ask the publisher which digest is right before you use the file'
  }),
  VERIT_PULL_LOCK: row<{ source: string; lock: string; wanted: string; got: string }>({
    what: f => `${f.source} is not what ${f.lock} pins: ${f.got} instead of ${f.wanted}`,
    next: () => 'The file at the source was changed: find out why, and only then accept it with --update'
  }),
  VERIT_PULL_PINNED: row<{ source: string; lock: string; pinned: string; asked: string }>({
    what: f => `${f.source} was not fetched: --sha256 asks for ${f.asked}, and ${f.lock} pins ${f.pinned}`,
    next: () =>
      'Leave --sha256 out to take the file that is pinned; if the other is right, add --update, which pins it in ' +
      'its place once it has this digest',
    exit: 2
  }),
  VERIT_PUSH_UNSIGNED: row<{ model: string; signature: string; problem: string }>({
    what: f => `${f.model} was not sent: ${f.signature} ${f.problem}`,
    next: f =>
      `Sign it (verit model sign ${shellPath(f.model)} --key KEY.pem --force), or push it without a signature ` +
      'with --unsigned'
  }),
  VERIT_PUSH_TARGET: row<{ target: string; problem: string }>({
    what: f => `A model cannot be pushed to ${f.target}: ${f.problem}`,
    next: () =>
      'Write hf:OWNER/REPO, hf:OWNER/REPO@BRANCH/FILE or https://HOST/PATH; docs/internals/pull.md has ' + 'examples',
    exit: 2
  }),
  VERIT_PUSH_ANSWER: row<{ host: string; problem: string; hint: string }>({
    what: f => `${f.host} refused the upload: ${f.problem}`,
    next: f => f.hint
  }),
  VERIT_PUSH_CONNECTION: row<{ host: string; reason: string }>({
    what: f => `The upload to ${f.host} was interrupted: ${f.reason}`,
    next: () => 'Run the same command again: files that the hub already has are not sent again'
  }),
  VERIT_LOCK_FILE: row<{ path: string; problem: string }>({
    what: f => `${f.path} cannot be used: ${f.problem}`,
    next: () =>
      'Restore it from your version control, or name another with --lock; docs/internals/pull.md ' + 'describes it',
    exit: 2
  }),
  VERIT_MODEL_STORE: row<{ path: string; problem: string }>({
    what: f => `The store of models cannot be used: ${f.path} ${f.problem}`,
    next: () => 'Pull the model again, or keep models in another folder with --models or VERIT_MODELS'
  }),
  VERIT_MODEL_NAME: row<{ name: string; problem: string; hint: string }>({
    what: f => `The name ${f.name} ${f.problem}`,
    next: f => f.hint,
    exit: 2
  }),
  VERIT_NODE: row<{ node: string; needed: string }>({
    what: f => `Verit needs ${f.needed}; this is Node ${f.node}`,
    next: () => 'Install a newer Node (https://nodejs.org/en/download) and run the same command again'
  }),
  VERIT_PACKAGE_FILES: row<{ file: string }>({
    what: f =>
      `${f.file} of the verit package was not found: this program was bundled, and no folder above it holds ` +
      'node_modules/verit',
    next: () => 'Install verit where the bundle runs, or give the path of a model of your own',
    exit: 2
  }),
  VERIT_INTERRUPTED: row<{ saved: string; resume: string }>({
    what: f => `Interrupted; ${f.saved}`,
    next: f => f.resume,
    exit: 130
  }),
  VERIT_INTERNAL: row<{ problem: string }>({
    what: f => `internal: ${f.problem}`,
    next: () => 'This is a bug in Verit: report it with the command that led here'
  })
} as const
