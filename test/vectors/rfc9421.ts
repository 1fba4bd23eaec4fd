/**
 * Test vectors of RFC 9421 (HTTP Message Signatures): keys of B.1, messages and signatures of B.2 to B.4 and of section
 * 2.4, components of section 2. Each signature verifies under its key, which proves the copy.
 */
import type { RequestMessage, ResponseMessage } from '../../src/trust/http-message.ts'

export const keys = {
  /** B.1.2 */
  rsaPss: `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----`,
  /** B.1.3 */
  p256: `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----`,
  /** B.1.4 */
  ed25519: `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----`,
  ed25519Private: `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----`,
  /** B.1.5, base64 of 64 bytes. */
  shared: 'uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=='
} as const

export const requestDigest =
  'sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:'
/** The digest in the signature base of B.2.4, which is that of the body. */
export const responseDigest =
  'sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:'
export const requestBody = '{"hello": "world"}'
export const responseBody = '{"message": "good dog"}'

export const testRequest: RequestMessage = {
  method: 'POST',
  scheme: 'https',
  authority: 'example.com',
  target: '/foo?param=Value&Pet=dog',
  headers: [
    ['Host', 'example.com'],
    ['Date', 'Tue, 20 Apr 2021 02:07:55 GMT'],
    ['Content-Type', 'application/json'],
    ['Content-Digest', requestDigest],
    ['Content-Length', '18']
  ]
}
export const testResponse: ResponseMessage = {
  status: 200,
  headers: [
    ['Date', 'Tue, 20 Apr 2021 02:07:56 GMT'],
    ['Content-Type', 'application/json'],
    ['Content-Digest', responseDigest],
    ['Content-Length', '23']
  ]
}
const certificate =
  ':MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1Mz' +
  'NaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcG' +
  'zkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMw' +
  'EYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:'
/** B.3: what the TLS-terminating proxy passes on. */
const proxied: RequestMessage = {
  method: 'POST',
  scheme: 'http',
  authority: 'service.internal.example',
  target: '/foo?param=Value&Pet=dog',
  headers: [
    ['Host', 'service.internal.example'],
    ['Date', 'Tue, 20 Apr 2021 02:07:55 GMT'],
    ['Content-Type', 'application/json'],
    ['Content-Length', '18'],
    ['Client-Cert', certificate]
  ]
}
/** B.4 */
const transform = (method: string, authority: string, target: string, headers: [string, string][]): RequestMessage => ({
  method,
  scheme: 'https',
  authority,
  target,
  headers: [['Host', authority], ...headers]
})
const demo = '/demo?name1=Value1&Name2=value2'
const json: [string, string] = ['Accept', 'application/json']
const any: [string, string] = ['Accept', '*/*']
const date: [string, string] = ['Date', 'Fri, 15 Jul 2022 14:24:55 GMT']

export interface Vector {
  section: string
  message: RequestMessage | ResponseMessage
  input: string
  signature: string
  key: 'rsa-pss-sha512' | 'ecdsa-p256-sha256' | 'hmac-sha256' | 'ed25519'
  /** The lines of the base before @signature-params; absent where the section does not give them. */
  lines?: string[]
  /** False where the message was changed so that the signature no longer holds. */
  valid?: false
}

const transformed = (message: RequestMessage, valid?: false): Vector => ({
  section: 'B.4',
  message,
  key: 'ed25519',
  ...(valid === undefined ? {} : { valid }),
  input: 'transform=("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519"',
  signature: 'transform=:ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==:'
})

export const vectors: Vector[] = [
  {
    section: '2.4',
    key: 'ecdsa-p256-sha256',
    message: {
      status: 503,
      request: testRequest,
      headers: [
        ['Content-Type', 'application/json'],
        [
          'Content-Digest',
          'sha-512=:0Y6iCBzGg5rZtoXS95Ijz03mslf6KAMCloESHObfwnHJDbkkWWQz6PhhU9kxsTbARtY2PTBOzq24uJFpHsMuAg==:'
        ]
      ]
    },
    input:
      'reqres=("@status" "content-digest" "content-type" "@authority";req "@method";req "@path";req ' +
      '"content-digest";req)' +
      ';created=1618884479;keyid="test-key-ecc-p256"',
    signature: 'reqres=:dMT/A/76ehrdBTD/2Xx8QuKV6FoyzEP/I9hdzKN8LQJLNgzU4W767HK05rx1i8meNQQgQPgQp8wq2ive3tV5Ag==:',
    lines: [
      '"@status": 503',
      '"content-digest": sha-512=:0Y6iCBzGg5rZtoXS95Ijz03mslf6KAMCloESHObfwnHJDbkkWWQz6PhhU9kxsTbARtY2PTBOzq24uJFpHsMuAg==:',
      '"content-type": application/json',
      '"@authority";req: example.com',
      '"@method";req: POST',
      '"@path";req: /foo',
      `"content-digest";req: ${requestDigest}`
    ]
  },
  {
    section: 'B.2.1',
    message: testRequest,
    key: 'rsa-pss-sha512',
    lines: [],
    input: 'sig-b21=();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"',
    signature:
      'sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+ox' +
      'NFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d' +
      '4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:'
  },
  {
    section: 'B.2.2',
    message: testRequest,
    key: 'rsa-pss-sha512',
    input:
      'sig-b22=("@authority" "content-digest" ' +
      '"@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example"',
    signature:
      'sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB0' +
      '9RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURI' +
      'jYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:',
    lines: ['"@authority": example.com', `"content-digest": ${requestDigest}`, '"@query-param";name="Pet": dog']
  },
  {
    section: 'B.2.3',
    message: testRequest,
    key: 'rsa-pss-sha512',
    input:
      'sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" ' +
      '"content-length");created=1618884473;keyid="test-key-rsa-pss"',
    signature:
      'sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5Gmy' +
      'dPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39V' +
      'Brohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:',
    lines: [
      '"date": Tue, 20 Apr 2021 02:07:55 GMT',
      '"@method": POST',
      '"@path": /foo',
      '"@query": ?param=Value&Pet=dog',
      '"@authority": example.com',
      '"content-type": application/json',
      `"content-digest": ${requestDigest}`,
      '"content-length": 18'
    ]
  },
  {
    section: 'B.2.4',
    message: testResponse,
    key: 'ecdsa-p256-sha256',
    input:
      'sig-b24=("@status" "content-type" "content-digest" ' +
      '"content-length");created=1618884473;keyid="test-key-ecc-p256"',
    signature: 'sig-b24=:wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==:',
    lines: [
      '"@status": 200',
      '"content-type": application/json',
      `"content-digest": ${responseDigest}`,
      '"content-length": 23'
    ]
  },
  {
    section: 'B.2.5',
    message: testRequest,
    key: 'hmac-sha256',
    input: 'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
    signature: 'sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:',
    lines: ['"date": Tue, 20 Apr 2021 02:07:55 GMT', '"@authority": example.com', '"content-type": application/json']
  },
  {
    section: 'B.2.6',
    message: testRequest,
    key: 'ed25519',
    input:
      'sig-b26=("date" "@method" "@path" "@authority" "content-type" ' +
      '"content-length");created=1618884473;keyid="test-key-ed25519"',
    signature: 'sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:',
    lines: [
      '"date": Tue, 20 Apr 2021 02:07:55 GMT',
      '"@method": POST',
      '"@path": /foo',
      '"@authority": example.com',
      '"content-type": application/json',
      '"content-length": 18'
    ]
  },
  {
    section: 'B.3',
    message: proxied,
    key: 'ecdsa-p256-sha256',
    input: 'ttrp=("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256"',
    signature: 'ttrp=:xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==:',
    lines: [
      '"@path": /foo',
      '"@query": ?param=Value&Pet=dog',
      '"@method": POST',
      '"@authority": service.internal.example',
      `"client-cert": ${certificate}`
    ]
  },
  transformed(transform('GET', 'example.org', demo, [date, json, any])),
  transformed(
    transform('GET', 'example.org', `${demo}&param=added`, [date, json, any, ['Accept-Language', 'en-US,en;q=0.5']])
  ),
  transformed(
    transform('GET', 'example.org', demo, [
      ['Referer', 'https://developer.example.org/demo'],
      ['Accept', 'application/json, */*']
    ])
  ),
  transformed({ ...transform('GET', 'example.org', demo, []), headers: [json, any, date, ['Host', 'example.org']] }),
  transformed(transform('POST', 'example.com', demo, [date, json, any]), false),
  transformed(transform('GET', 'example.org', demo, [date, any, json]), false)
]

/** Single components: the section, the message, the identifier and the line of the base without it. */
const get = (target: string, headers: [string, string][] = []): RequestMessage => ({
  method: 'POST',
  scheme: 'https',
  authority: 'www.example.com',
  target,
  headers,
  types: { 'example-dict': 'dictionary' }
})
const fields = get('/', [
  ['Host', 'www.example.com'],
  ['Date', 'Tue, 20 Apr 2021 02:07:56 GMT'],
  ['X-OWS-Header', '   Leading and trailing whitespace.   '],
  ['X-Obs-Fold-Header', 'Obsolete\r\n    line folding.'],
  ['Cache-Control', 'max-age=60'],
  ['Cache-Control', '   must-revalidate'],
  ['Example-Dict', ' a=1,    b=2;x=1;y=2,   c=(a   b   c)'],
  ['X-Empty-Header', ' ']
])
const dictionary = get('/', [['Example-Dict', ' a=1, b=2;x=1;y=2, c=(a   b    c), d']])
const lots = get('/', [
  ['Example-Header', 'value, with, lots'],
  ['Example-Header', 'of, commas']
])
const trailer: ResponseMessage = {
  status: 200,
  headers: [
    ['Content-Type', 'text/plain'],
    ['Trailer', 'Expires']
  ],
  trailers: [['Expires', 'Wed, 9 Nov 2022 07:28:00 GMT']]
}
const parameters = get('/path?param=value&foo=bar&baz=batman&qux=')
const encoded = get(
  '/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something'
)

export const components: [
  section: string,
  message: RequestMessage | ResponseMessage,
  identifier: string,
  value: string
][] = [
  ['2.1', fields, '"host"', 'www.example.com'],
  ['2.1', fields, '"date"', 'Tue, 20 Apr 2021 02:07:56 GMT'],
  ['2.1', fields, '"x-ows-header"', 'Leading and trailing whitespace.'],
  ['2.1', fields, '"x-obs-fold-header"', 'Obsolete line folding.'],
  ['2.1', fields, '"cache-control"', 'max-age=60, must-revalidate'],
  ['2.1', fields, '"example-dict"', 'a=1,    b=2;x=1;y=2,   c=(a   b   c)'],
  ['2.1', fields, '"x-empty-header"', ''],
  ['2.1.1', fields, '"example-dict";sf', 'a=1, b=2;x=1;y=2, c=(a b c)'],
  ['2.1.2', dictionary, '"example-dict";key="a"', '1'],
  ['2.1.2', dictionary, '"example-dict";key="d"', '?1'],
  ['2.1.2', dictionary, '"example-dict";key="b"', '2;x=1;y=2'],
  ['2.1.2', dictionary, '"example-dict";key="c"', '(a b c)'],
  ['2.1.3', lots, '"example-header"', 'value, with, lots, of, commas'],
  ['2.1.3', lots, '"example-header";bs', ':dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:'],
  [
    '2.1.3',
    get('/', [['Example-Header', 'value, with, lots, of, commas']]),
    '"example-header";bs',
    ':dmFsdWUsIHdpdGgsIGxvdHMsIG9mLCBjb21tYXM=:'
  ],
  ['2.1.4', trailer, '"@status"', '200'],
  ['2.1.4', trailer, '"trailer"', 'Expires'],
  ['2.1.4', trailer, '"expires";tr', 'Wed, 9 Nov 2022 07:28:00 GMT'],
  ['2.2.1', get('/path?param=value'), '"@method"', 'POST'],
  ['2.2.2', get('/path?param=value'), '"@target-uri"', 'https://www.example.com/path?param=value'],
  ['2.2.3', get('/path?param=value'), '"@authority"', 'www.example.com'],
  ['2.2.4', { ...get('/path?param=value'), scheme: 'http' }, '"@scheme"', 'http'],
  ['2.2.5', get('/path?param=value'), '"@request-target"', '/path?param=value'],
  [
    '2.2.5',
    get('https://www.example.com/path?param=value'),
    '"@request-target"',
    'https://www.example.com/path?param=value'
  ],
  ['2.2.5', get('www.example.com:80'), '"@request-target"', 'www.example.com:80'],
  ['2.2.5', get('*'), '"@request-target"', '*'],
  ['2.2.6', get('/path?param=value'), '"@path"', '/path'],
  ['2.2.7', get('/path?param=value&foo=bar&baz=bat%2Dman'), '"@query"', '?param=value&foo=bar&baz=bat%2Dman'],
  ['2.2.7', get('/path?queryString'), '"@query"', '?queryString'],
  ['2.2.7', get('/path'), '"@query"', '?'],
  ['2.2.8', parameters, '"@query-param";name="baz"', 'batman'],
  ['2.2.8', parameters, '"@query-param";name="qux"', ''],
  ['2.2.8', parameters, '"@query-param";name="param"', 'value'],
  ['2.2.8', encoded, '"@query-param";name="var"', 'this%20is%20a%20big%0Amultiline%20value'],
  ['2.2.8', encoded, '"@query-param";name="bar"', 'with%20plus%20whitespace'],
  ['2.2.8', encoded, '"@query-param";name="fa%C3%A7ade%22%3A%20"', 'something'],
  ['2.2.9', trailer, '"@status"', '200']
]
