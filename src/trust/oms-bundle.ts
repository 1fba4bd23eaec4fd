/**
 * The signature file: a Sigstore bundle (v0.3) with a DSSE envelope, as in OpenSSF Model Signing 1.0 section 4. Parsed
 * strictly, in bounded memory. Methods: `key`, and `certificate` if the key of its first certificate is itself trusted.
 * Bundles of the method `sigstore` (short-lived certificates and a transparency log) are recognised and refused: they
 * need roots of trust that do not come with Verit.
 */
import { X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import { strictBase64 } from '../lib/strict-base64.ts'

export const MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json'
export const PAYLOAD_TYPE = 'application/vnd.in-toto+json'
/** 10,000 files of long names fit. */
export const MAX_BUNDLE_BYTES = 16 << 20

const base64 = (maxLength: number) => Type.String({ minLength: 1, maxLength, pattern: '^[A-Za-z0-9+/]+={0,2}$' })
const closed = { additionalProperties: false } as const
const Certificate = Type.Object({ rawBytes: base64(65_536) })
const nothing = {
  tlogEntries: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 0 })),
  timestampVerificationData: Type.Optional(Type.Unknown())
}
const Bundle = Type.Object(
  {
    mediaType: Type.Literal(MEDIA_TYPE),
    verificationMaterial: Type.Union([
      Type.Object(
        {
          publicKey: Type.Object(
            {
              hint: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
              rawBytes: Type.Optional(base64(16_384)),
              keyDetails: Type.Optional(Type.String({ maxLength: 256 }))
            },
            closed
          ),
          ...nothing
        },
        closed
      ),
      Type.Object(
        {
          x509CertificateChain: Type.Object({ certificates: Type.Array(Certificate, { minItems: 1, maxItems: 16 }) }),
          ...nothing
        },
        closed
      )
    ]),
    dsseEnvelope: Type.Object(
      {
        payload: base64(MAX_BUNDLE_BYTES),
        payloadType: Type.Literal(PAYLOAD_TYPE),
        signatures: Type.Array(
          Type.Object(
            {
              sig: base64(1024),
              keyid: Type.Optional(Type.Union([Type.Null(), Type.String({ maxLength: 256 })]))
            },
            closed
          ),
          { minItems: 1, maxItems: 1 }
        )
      },
      closed
    )
  },
  closed
)

export interface OmsBundle {
  /** The key that the signer claims; matched with trusted keys, never trusted itself. */
  readonly claimed: { readonly hint: string } | { readonly pem: string } | { readonly certificate: X509Certificate }
  readonly payload: Buffer
  readonly signature: Buffer
}

/** The text of a bundle for the method `key`. */
export function formatBundle(hint: string, payload: Uint8Array, signature: Uint8Array): string {
  const bundle: Static<typeof Bundle> = {
    mediaType: MEDIA_TYPE,
    verificationMaterial: { publicKey: { hint }, tlogEntries: [] },
    dsseEnvelope: {
      payload: Buffer.from(payload).toString('base64'),
      payloadType: PAYLOAD_TYPE,
      signatures: [{ sig: Buffer.from(signature).toString('base64'), keyid: '' }]
    }
  }
  return `${JSON.stringify(bundle)}\n`
}

/** @param source what to call it in errors. @throws VeritError VERIT_BUNDLE */
export function parseBundle(bytes: Uint8Array, source: string): OmsBundle {
  const fail = (problem: string): never => {
    throw new VeritError('VERIT_BUNDLE', { source, problem })
  }
  if (bytes.length > MAX_BUNDLE_BYTES) return fail(`it has more than ${MAX_BUNDLE_BYTES.toLocaleString('en-US')} bytes`)
  let value: unknown
  try {
    value = parseStrictJson(bytes)
  } catch (e) {
    return fail(VeritError.is(e) ? e.what : String(e))
  }
  if (!Value.Check(Bundle, value)) return fail(problemOf(value))
  const {
    verificationMaterial: material,
    dsseEnvelope: { payload, signatures }
  } = value
  const claimed =
    'publicKey' in material
      ? claimedKey(material.publicKey, fail)
      : { certificate: certificateOf(material.x509CertificateChain.certificates[0]!.rawBytes, fail) }
  return { claimed, payload: bytesOf(payload, fail), signature: bytesOf(signatures[0]!.sig, fail) }
}

function claimedKey(
  { hint, rawBytes }: { hint?: string; rawBytes?: string },
  fail: (problem: string) => never
): OmsBundle['claimed'] {
  if (hint !== undefined) return { hint }
  return rawBytes === undefined
    ? fail('it does not say which key signed it')
    : { pem: bytesOf(rawBytes, fail).toString('utf8') }
}

function certificateOf(rawBytes: string, fail: (problem: string) => never): X509Certificate {
  let certificate: X509Certificate
  let key: KeyObject | undefined
  try {
    certificate = new X509Certificate(bytesOf(rawBytes, fail))
    key = certificate.publicKey
  } catch (e) {
    return VeritError.is(e) ? fail(e.message) : fail('its first certificate cannot be read')
  }
  return key === undefined ? fail('its first certificate has no key') : certificate
}

const bytesOf = (text: string, fail: (problem: string) => never): Buffer =>
  strictBase64(text) ?? fail('it holds base64 that is not canonical')

function problemOf(value: unknown): string {
  const { mediaType, verificationMaterial: material } = (value ?? {}) as {
    mediaType?: unknown
    verificationMaterial?: object | null
  }
  if (mediaType !== MEDIA_TYPE)
    return (
      `its media type is ${typeof mediaType === 'string' ? printable(mediaType, 100) : 'missing'}, not ` +
      `${MEDIA_TYPE}`
    )
  if (typeof material === 'object' && material !== null && 'certificate' in material)
    return 'it was signed through Sigstore, which is not supported: ask the signer for a signature with a key'
  const first = Value.Errors(Bundle, value).find(e => e.keyword !== 'anyOf')
  return (
    'it is not a bundle of OpenSSF Model Signing ' +
    `1.0${first === undefined ? '' : `: ${printable(first.instancePath, 100)} ${printable(first.message, 200)}`}`
  )
}
