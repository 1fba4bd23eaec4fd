/** Reads the body of a request as JSON, in slices. The tokens of a prompt are bounded before they are built. */
import type { FastifyRequest } from 'fastify'
import { VeritError } from '../lib/errors.ts'
import type { NumberLimit } from '../lib/json-builder.ts'
import { readJsonBody } from '../lib/strict-json.ts'
import type { KeyRecord } from '../store/key-store.ts'
import type { GatewayContext } from './context.ts'
import { modelLimits } from './plan.ts'
import { giveBackBytes, limitsOf } from './rates.ts'
import { checkDigest } from './signatures.ts'

/** Where prompts are lists of token ids. */
const PROMPT = 'prompt'
/** Token ids that are read before it is known how many a model takes. */
const WHILE_LOADING = 1 << 20

/**
 * @throws VeritError VERIT_SIGNATURE, VERIT_CONTENT_TYPE, VERIT_JSON, VERIT_PROMPT_LENGTH, VERIT_PROMPT_LIMIT,
 * VERIT_UNAVAILABLE
 */
export async function readBody(context: GatewayContext, request: FastifyRequest, bytes: Buffer): Promise<unknown> {
  const { http } = context.config
  const record = request.verit.caller!.record
  const inChunks = request.raw.headers['transfer-encoding'] !== undefined
  if (inChunks) await giveBackBytes(context, record, http.bodyBytes - bytes.length)
  await checkDigest(request, bytes)
  // A Content-Type without a body is ignored on routes without a body.
  if (request.verit.route?.takesBody === false && bytes.length === 0) return undefined
  return readJsonBody(bytes, { depth: http.jsonDepth, numbers: promptLimit(context, record) })
}

/** Refuses a prompt at the first token that the key may not use, or that the model has no position for. */
function promptLimit(context: GatewayContext, record: KeyRecord): NumberLimit {
  const { model, config } = context
  const positions =
    model === undefined ? WHILE_LOADING : modelLimits(config.inference.context, model.runner.info).context
  const allowed = limitsOf(record, config).promptTokens ?? Infinity
  const most = Math.min(positions, allowed)
  const more = { tokens: most + 1, orMore: true }
  return {
    field: PROMPT,
    most,
    refuse: () => {
      throw allowed < positions
        ? new VeritError('VERIT_PROMPT_LIMIT', { ...more, limit: allowed })
        : new VeritError('VERIT_PROMPT_LENGTH', { ...more, context: positions })
    }
  }
}
