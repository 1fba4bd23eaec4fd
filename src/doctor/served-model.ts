/**
 * Whether the server may serve a model, and why: the same question that `verit serve` asks before it starts
 * (trust-check.ts); then, whether the file is whole.
 */
import { statSync } from 'node:fs'
import { VeritError } from '../lib/errors.ts'
import { ProblemList } from '../lib/problem-list.ts'
import { formatBytes } from '../lib/progress.ts'
import { shellPath } from '../lib/shell-word.ts'
import type { ServerConfig } from '../server/config.ts'
import { askTrust } from '../server/trust-check.ts'
import type { ModelToServe } from '../server/trust-check.ts'
import { note, ok, problem, warning } from './finding.ts'
import type { Finding } from './finding.ts'

/** Looks for everything that is wrong in a model file, values too, as `verit inspect --strict` does. */
export type InspectModel = (path: string, found: ProblemList) => Promise<void>

/** Bytes. All values of a file are read, which takes long for a larger one. */
const LOOKED_THROUGH = 8 * 2 ** 30

/**
 * @param state folder of the policy, unless the configuration names a policy
 * @param inspect default: do not look into the file; an untrusted file is never inspected
 */
export async function checkModel(
  model: ModelToServe,
  trust: ServerConfig['trust'],
  state: string,
  inspect?: InspectModel
): Promise<Finding[]> {
  const { path } = model
  const found = trust.allowUnsigned
    ? [
        warning(
          'model.allow-unsigned',
          'Unsigned models are served (trust.allow_unsigned)',
          'Leave it out, and trust what you know: `verit model trust add`'
        )
      ]
    : []
  try {
    const { by, ...more } = await askTrust(model, trust, state)
    if (by === 'unsigned')
      found.push(
        warning(
          'model.trust',
          `${path} is served without a signature, and without a digest to hold it to`,
          'Sign it (`verit model sign`), or trust its digest (`verit model trust add --digest`)'
        )
      )
    else
      found.push(
        ok(
          'model.trust',
          'signer' in more
            ? `${path} is signed by ${more.signer}, who is trusted`
            : `${path} has the digest that is trusted`
        )
      )
    if (inspect !== undefined) found.push(await checkContents(path, inspect))
  } catch (e) {
    if (!VeritError.is(e)) throw e
    found.push(problem('model.trust', e.what, e.next))
  }
  return found
}

async function checkContents(path: string, inspect: InspectModel): Promise<Finding> {
  const command = `\`verit inspect --strict ${shellPath(path)}\``
  const { size } = statSync(path)
  if (size > LOOKED_THROUGH)
    return note('model.contents', `${path} has ${formatBytes(size)} and was not looked through`, `${command} does it`)
  const list = new ProblemList()
  await inspect(path, list)
  const [first] = list.shown
  if (first === undefined) return ok('model.contents', `${path} is a good model file, down to its values`)
  const count = list.shown.length + list.more
  const at = first.offset === undefined ? '' : `at byte ${first.offset}, `
  return problem(
    'model.contents',
    `${path} has ${count === 1 ? 'a fault' : `${count} faults, the first`}: ${at}${first.problem}`,
    `${command} shows all; get the file again from its source`
  )
}
