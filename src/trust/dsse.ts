/**
 * The signed bytes of a DSSE envelope: its pre-authentication encoding, which ties the payload to its type. Source:
 * github.com/secure-systems-lab/dsse, protocol.md, "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload, lengths in
 * bytes, decimal.
 */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `),
    payload
  ])
}
