/**
 * Loads the model as a start does, and ends its runner again: so `verit serve --check` finds whatever a start would
 * refuse in the model, the chat template, the end tokens and the options of the runner.
 */
import { ModelRunner } from '../runner/model-runner.ts'
import { conversationSettings } from './chat-template.ts'
import { runnerOptions } from './runner-options.ts'
import type { ServeOptions } from './serve.ts'
import { trustCheck } from './trust-check.ts'

type Checked = Pick<ServeOptions, 'model' | 'trustedAs' | 'config' | 'state' | 'runner'>

/** @throws VeritError as a start would */
export async function checkModel({ model, trustedAs, config, state, runner: more }: Checked): Promise<void> {
  const onDigest = trustCheck(model, trustedAs, config.trust, state)
  const conversation = conversationSettings(config.inference, 'the configuration')
  const runner = await ModelRunner.start(model, { onDigest, ...runnerOptions(config, conversation), ...more })
  await runner.close()
}
