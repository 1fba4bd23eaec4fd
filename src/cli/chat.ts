/** `verit chat`: a conversation in the terminal, or with lines from a pipe. */
import { createInterface } from 'node:readline/promises'
import { Command } from 'commander'
import type { ChatMessage, Engine } from '../engine/engine.ts'
import { VeritError } from '../lib/errors.ts'
import { chatTemplateOption } from './conversation-options.ts'
import { forTerminal } from './for-terminal.ts'
import { modelOptions, openModel, samplingOf, samplingOptions } from './open-model.ts'
import type { ModelFlags, SamplingFlags } from './open-model.ts'
import { checkStandardInput } from './standard-text.ts'

interface Flags extends ModelFlags, SamplingFlags {
  system?: string
}

const HELP =
  '/clear forgets the conversation, /exit ends it. Ctrl-C stops an answer; between answers it ends the conversation.\n'

export function command(): Command {
  const c = new Command('chat')
    .summary('chat with a model')
    .description(
      'Chats with a model. Its chat template, or the one of --chat-template, turns the conversation into a ' +
        'prompt. A model that was not trained on conversations continues them as plain text.'
    )
    .argument(
      '[model]',
      'a .gguf file, a training run, or the name of a pulled model (default: the model that comes with Verit)'
    )
    .option('--system <text>', 'system message')
  return modelOptions(samplingOptions(chatTemplateOption(c)))
    .addHelpText(
      'after',
      `
Examples:
  verit chat
  verit chat model.gguf --system "Answer briefly." --temperature 0.5
  verit chat model.gguf --chat-template chat.jinja --end-token "<|eot_id|>"
  echo "What is a union?" | verit chat model.gguf --seed 1`
    )
    .action(run)
}

async function run(path: string | undefined, flags: Flags): Promise<void> {
  await using engine = await openModel(path, flags, { slots: 1 })
  for (const warning of engine.info.conversation.warnings) process.stderr.write(`verit: warning: ${warning}.\n`)
  const conversation = new Conversation(engine, flags)
  const terminal = process.stdin.isTTY && process.stdout.isTTY
  if (!process.stdin.isTTY && !(await checkStandardInput())) return
  const lines = createInterface({ input: process.stdin, ...(terminal ? { output: process.stdout, prompt: '> ' } : {}) })
  const interrupt = (): void => {
    if (conversation.stop()) return
    lines.close()
    if (!terminal) process.exitCode = 130
  }
  lines.on('SIGINT', interrupt)
  process.on('SIGINT', interrupt)
  if (terminal)
    process.stderr.write(
      `${forTerminal(engine.info.name)}, ${engine.info.context} tokens of context. /help tells the commands.\n`
    )
  if (engine.info.chatTemplate === undefined) {
    process.stderr.write('This model has no chat template: it only continues the conversation as a text.\n')
  }
  let open = true
  lines.once('close', () => void (open = false))
  // Without a terminal there is no prompt, and all lines may arrive before the first answer.
  const prompt = (): void => {
    if (terminal && open) lines.prompt()
  }
  prompt()
  for await (const line of lines) {
    const text = line.trim()
    if (text === '/exit' || text === '/quit') break
    if (text === '/help') process.stderr.write(HELP)
    else if (text === '/clear') conversation.clear()
    else if (/^\/[a-z]+$/.test(text)) process.stderr.write(`There is no command ${text}. ${HELP}`)
    else if (text !== '') await conversation.say(text)
    prompt()
  }
  lines.close()
  process.off('SIGINT', interrupt)
}

class Conversation {
  #engine: Engine
  #flags: Flags
  #messages: ChatMessage[] = []
  #abort: AbortController | undefined

  constructor(engine: Engine, flags: Flags) {
    this.#engine = engine
    this.#flags = flags
  }

  clear(): void {
    this.#messages = []
  }

  /** Stops the running answer; false if there is none. */
  stop(): boolean {
    this.#abort?.abort()
    return this.#abort !== undefined
  }

  /** Prints the answer. After an error that the next line could fix, the message is dropped. */
  async say(content: string): Promise<void> {
    this.#messages.push({ role: 'user', content })
    this.#abort = new AbortController()
    try {
      this.#messages.push({ role: 'assistant', content: await this.#answer(this.#abort.signal) })
    } catch (e) {
      if (!VeritError.is(e) || e.status !== 400) throw e
      this.#messages.pop()
      process.stderr.write(`verit: ${e.message}\n`)
    } finally {
      this.#abort = undefined
    }
  }

  async #answer(signal: AbortSignal): Promise<string> {
    const sampling = samplingOf(this.#flags)
    const stop = [...this.#engine.chatStop, ...sampling.stop]
    let answer = ''
    for await (const event of this.#engine.generate(
      { ...sampling, stop, prompt: this.#prompt(sampling.maxTokens ?? 128) },
      signal
    )) {
      if (event.type !== 'token') continue
      const text = answer === '' ? event.text.trimStart() : event.text
      process.stdout.write(forTerminal(text))
      answer += text
    }
    process.stdout.write('\n')
    return answer.trimEnd()
  }

  /** Drops the oldest turns when the context cannot hold them and an answer, and reports it. */
  #prompt(maxTokens: number): number[] {
    const { context } = this.#engine.info
    const system: ChatMessage[] =
      this.#flags.system === undefined ? [] : [{ role: 'system', content: this.#flags.system }]
    const room = context - Math.min(maxTokens, context >> 2)
    let kept = this.#messages
    let ids = this.#engine.chatPrompt([...system, ...kept])
    while (ids.length >= room && kept.length > 2) {
      kept = kept.slice(2)
      ids = this.#engine.chatPrompt([...system, ...kept])
    }
    const forgotten = this.#messages.length - kept.length
    // A message that does not fit alone will be refused, and costs none of the others.
    if (forgotten > 0 && ids.length < context) {
      this.#messages = kept
      process.stderr.write(
        `(The context of ${context} tokens is full: the oldest ${forgotten} messages are forgotten.)\n`
      )
    }
    return ids
  }
}
