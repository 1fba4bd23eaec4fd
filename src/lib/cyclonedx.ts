/**
 * The part of CycloneDX 1.6 (ECMA-424, https://cyclonedx.org/docs/1.6/json/) that Verit writes: bills of materials of
 * the package and of models. The same contents give the same bytes: no time, unless one is given, and a serial number
 * that follows from the contents.
 */
import { hash } from 'node:crypto'

export interface Component {
  readonly type: 'library' | 'application' | 'machine-learning-model' | 'data' | 'file' | 'platform'
  readonly 'bom-ref': string
  readonly name: string
  readonly version?: string
  readonly description?: string
  readonly scope?: 'required' | 'optional'
  readonly hashes?: readonly { readonly alg: 'SHA-256' | 'SHA-512'; readonly content: string }[]
  readonly licenses?: readonly License[]
  readonly purl?: string
  readonly modelCard?: object
  /** Its components. */
  readonly pedigree?: { readonly ancestors: readonly Omit<Component, 'bom-ref'>[] }
  readonly externalReferences?: readonly { readonly type: 'vcs' | 'website' | 'distribution'; readonly url: string }[]
  readonly properties?: readonly Property[]
}

export type License =
  | { readonly license: ({ readonly id: string } | { readonly name: string }) & { readonly url?: string } }
  | { readonly expression: string }

export interface Property {
  readonly name: string
  readonly value: string
}

export interface Bom {
  /** ISO 8601; left out where the bill must be the same whenever it is made. */
  readonly timestamp?: string
  /** The subject of the bill. */
  readonly subject: Component
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
  /** Name and version of the program that wrote it. */
  readonly tool: { readonly name: string; readonly version: string }
}

/** The bill as text, ending with a line feed. */
export function formatBom({ timestamp, subject, components, dependencies, tool }: Bom): string {
  const body = {
    version: 1,
    metadata: {
      ...(timestamp !== undefined && { timestamp }),
      tools: { components: [{ type: 'application', ...tool }] },
      component: subject
    },
    components,
    dependencies
  }
  // A UUID of version 8 (RFC 9562, section 5.8): 122 bits of the SHA-256 of the contents.
  const digest = hash('sha256', JSON.stringify(body))
  const variant = '89ab'[Number.parseInt(digest[16]!, 16) & 3]!
  const uuid = [
    digest.slice(0, 8),
    digest.slice(8, 12),
    `8${digest.slice(13, 16)}`,
    variant + digest.slice(17, 20),
    digest.slice(20, 32)
  ].join('-')
  const bom = { bomFormat: 'CycloneDX', specVersion: '1.6', serialNumber: `urn:uuid:${uuid}`, ...body }
  return `${JSON.stringify(bom, null, 2)}\n`
}
