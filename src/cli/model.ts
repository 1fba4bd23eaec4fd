/** `verit model`: signatures of models, and which are trusted. */
import { Command } from 'commander'
import { bomCommand } from './model-bom.ts'
import { digestCommand, keygenCommand, signCommand } from './model-sign.ts'
import { trustCommand } from './model-trust.ts'
import { verifyCommand } from './model-verify.ts'

export function command(): Command {
  const model = new Command('model')
    .summary('sign models, verify signatures, manage trusted models')
    .description(
      'Sign models and verify signatures offline (OpenSSF Model Signing 1.0), and manage which models the server ' +
        'may serve. Guide: docs/guide/models.md. (verit models lists pulled models.)'
    )
    .addHelpText(
      'after',
      '\nExamples:\n  verit model keygen signer.pem\n  verit model sign my-model.gguf --key signer.pem\n  verit ' +
        'model verify my-model.gguf --public-key signer.pub\n  verit model digest my-model.gguf\n  verit model ' +
        "trust add --signer team --public-key signer.pub --model 'my-*'"
    )
  for (const part of [digestCommand, keygenCommand, signCommand, verifyCommand, trustCommand, bomCommand])
    model.addCommand(part())
  return model
}
