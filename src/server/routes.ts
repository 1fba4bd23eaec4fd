/**
 * The one table of routes. What a route requires stands in its row and nowhere else; a gateway refuses to start with a route that has no row. A
 * request that matches no row needs a valid key before it is told so.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { printable } from '../lib/printable.ts'
import type { Scope } from '../store/key-store.ts'
import { readChat } from './chat.ts'
import { readCompletion } from './completions.ts'
import type { GatewayContext } from './context.ts'
import { answer } from './generation.ts'

export interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** The scope that the key must have, or "nothing": no key. */
  readonly requires: Scope | 'nothing'
  readonly takesBody: boolean
  readonly handle: (context: GatewayContext, request: FastifyRequest, reply: FastifyReply) => unknown
}

export const routeTable: readonly Route[] = [
  { method: 'GET', path: '/health', requires: 'nothing', takesBody: false, handle: health },
  { method: 'GET', path: '/v1/models', requires: 'models', takesBody: false, handle: listModels },
  {
    method: 'POST', path: '/v1/completions', requires: 'infer', takesBody: true,
    handle: (context, request, reply) => answer(context, readCompletion(request.body), request, reply),
  },
  {
    method: 'POST', path: '/v1/chat/completions', requires: 'infer', takesBody: true,
    handle: (context, request, reply) => answer(context, readChat(request.body), request, reply),
  },
]

/** Says whether requests can be answered, and nothing else: anyone may ask. */
function health({ model }: GatewayContext, _request: FastifyRequest, reply: FastifyReply): object {
  if (model?.runner.available === true) return { status: 'ok' }
  void reply.code(503).header('retry-after', '2')
  return { status: 'loading' }
}

function listModels({ model }: GatewayContext): object {
  if (model === undefined) return { object: 'list', data: [] }
  const { architecture, executor, ...numbers } = model.runner.info
  const verit = {
    digest: model.runner.digest, name: printable(numbers.name), architecture: printable(architecture), parameters: numbers.parameters,
    vocabulary: numbers.vocabSize, context: numbers.context, executor: printable(executor),
  }
  return { object: 'list', data: [{ id: model.id, object: 'model', created: model.created, owned_by: 'verit', verit }] }
}
