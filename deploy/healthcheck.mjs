/** Exit 0 where the server answers and can work: `node healthcheck.mjs [URL]`, by default http://127.0.0.1:8081/health. For images without a shell. */
import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'

const url = new URL(process.argv[2] ?? 'http://127.0.0.1:8081/health')
const get = url.protocol === 'https:' ? getHttps : getHttp
// The certificate has the server's public name, not 127.0.0.1: over loopback there is nobody to be taken in by.
const request = get(url, { timeout: 4000, rejectUnauthorized: false }, response => process.exit(response.statusCode === 200 ? 0 : 1))
request.on('timeout', () => process.exit(1)).on('error', () => process.exit(1))
