/**
 * The one table of routes. All requirements of a route are in its row; a gateway refuses to start with a route without
 * a row. A request without a row needs a valid key before it gets 404.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { changeKey, createKey, listKeys, revokeKey, rotateKey, showKey } from './admin-keys.ts'
import { JSON_TYPE } from './answer-headers.ts'
import { mayUse } from './authenticate.ts'
import { readChat } from './chat.ts'
import { readCompletion } from './completions.ts'
import type { GatewayContext, OpenAnswer, OpenRoute, ServedModel, Route } from './context.ts'
import { newReading } from './dialect.ts'
import type { Reading } from './dialect.ts'
import { errorReply } from './error-reply.ts'
import { answer } from './generation.ts'
import { health } from './health.ts'
import { securityTxt } from './security-txt.ts'

export const routeTable: readonly (Route | OpenRoute)[] = [
  {
    method: 'GET',
    path: '/health',
    requires: 'nothing',
    takesBody: false,
    purpose: 'whether requests are served: 200 `{"status":"ok"}`, or 503 with `"loading"` or `"unavailable"`',
    tell: health
  },
  {
    method: 'GET',
    path: '/.well-known/security.txt',
    requires: 'nothing',
    takesBody: false,
    purpose: 'the contact for vulnerabilities (RFC 9116), if the operator has set one; else 404',
    tell: tellSecurityContact
  },
  { method: 'GET', path: '/v1/models', requires: 'models', takesBody: false, purpose: 'the model', handle: listModels },
  {
    method: 'GET',
    path: '/v1/models/:id',
    requires: 'models',
    takesBody: false,
    purpose: 'the model of that name',
    handle: showModel
  },
  {
    method: 'POST',
    path: '/v1/completions',
    requires: 'infer',
    takesBody: true,
    purpose: 'the continuation of a prompt, whole or as server-sent events',
    handle: (context, request, reply) =>
      answer(context, readCompletion(request.body, readingFor(context, request)), request, reply)
  },
  {
    method: 'POST',
    path: '/v1/chat/completions',
    requires: 'infer',
    takesBody: true,
    purpose: 'an answer to a conversation, whole or as server-sent events',
    handle: (context, request, reply) =>
      answer(context, readChat(request.body, readingFor(context, request)), request, reply)
  },
  { method: 'GET', path: '/v1/admin/keys', requires: 'admin', takesBody: false, purpose: 'all keys', handle: listKeys },
  {
    method: 'POST',
    path: '/v1/admin/keys',
    requires: 'admin',
    takesBody: true,
    purpose: 'a new key; the only answer that shows its secret',
    handle: createKey
  },
  {
    method: 'GET',
    path: '/v1/admin/keys/:id',
    requires: 'admin',
    takesBody: false,
    purpose: 'a key with its use',
    handle: showKey
  },
  {
    method: 'PATCH',
    path: '/v1/admin/keys/:id',
    requires: 'admin',
    takesBody: true,
    purpose: 'the changed key',
    handle: changeKey
  },
  {
    method: 'POST',
    path: '/v1/admin/keys/:id/rotate',
    requires: 'admin',
    takesBody: true,
    purpose: 'a new secret for a key',
    handle: rotateKey
  },
  {
    method: 'POST',
    path: '/v1/admin/keys/:id/revoke',
    requires: 'admin',
    takesBody: false,
    purpose: 'the revoked key',
    handle: revokeKey
  },
  {
    method: 'GET',
    path: '/v1/audit/checkpoint',
    requires: 'audit',
    takesBody: false,
    purpose: 'the newest signed checkpoint of the audit log',
    handle: tellCheckpoint
  },
  {
    method: 'GET',
    path: '/metrics',
    requires: 'metrics',
    takesBody: false,
    purpose: 'metrics in the format of Prometheus; no label contains a key, an address or a text',
    handle: tellMetrics
  }
]

/** How a body is read; ignored fields are noted even if it is refused. */
function readingFor({ config }: GatewayContext, { verit }: FastifyRequest): Reading {
  const reading = newReading(config.http.unknownFields)
  verit.ignored = reading.ignored
  return reading
}

function listModels({ model }: GatewayContext, request: FastifyRequest): object {
  return {
    object: 'list',
    data: model === undefined || !mayUse(request.verit.caller!.record, model.id) ? [] : [shown(model)]
  }
}

function showModel({ model }: GatewayContext, request: FastifyRequest): object {
  const { id } = request.params as { id: string }
  if (model?.id !== id || !mayUse(request.verit.caller!.record, id))
    throw new VeritError('VERIT_NOT_FOUND', { what: 'model of that name' })
  return shown(model)
}

function shown(model: ServedModel): object {
  const { architecture, executor, engine, capabilities, cacheType, ...numbers } = model.runner.info
  const verit = {
    digest: model.runner.digest,
    name: printable(numbers.name),
    architecture: printable(architecture),
    parameters: numbers.parameters,
    vocabulary: numbers.vocabSize,
    context: numbers.context,
    executor: printable(executor),
    ...(engine !== undefined && { engine: printable(engine) }),
    ...(capabilities !== undefined && { capabilities }),
    ...(cacheType !== undefined && { kv_cache_type: cacheType })
  }
  return { id: model.id, object: 'model', created: model.created, owned_by: 'verit', verit }
}

const PLAIN = 'text/plain; charset=utf-8'

/** The newest signed checkpoint: to be kept where this machine cannot reach it. */
function tellCheckpoint({ audit }: GatewayContext, _request: FastifyRequest, reply: FastifyReply): string {
  if (audit === undefined) throw new VeritError('VERIT_NOT_FOUND', { what: 'audit log' })
  void reply.type(PLAIN)
  return audit.checkpoint()
}

function tellSecurityContact({ config }: GatewayContext): OpenAnswer {
  const text = securityTxt(config)
  if (text !== undefined) return { status: 200, type: PLAIN, body: text }
  const { status, body } = errorReply(new VeritError('VERIT_NOT_FOUND', { what: 'security contact' }), '')
  return { status, type: JSON_TYPE, body: JSON.stringify(body) }
}

async function tellMetrics(
  { metrics }: GatewayContext,
  _request: FastifyRequest,
  reply: FastifyReply
): Promise<string> {
  void reply.type(metrics.contentType)
  return metrics.text()
}
