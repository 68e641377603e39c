// Makes UUIDs that are derived from a name.
import { createHash } from 'node:crypto'

/** The namespace of these UUIDs; it was chosen at random once and must not change. */
const NAMESPACE = Buffer.from('5b6c1c0e8d3f4d0a9f4e3a6d2c7b1e90', 'hex')

/** A UUID version 5 (RFC 9562): the same name gives the same UUID. */
export function uuidv5(name: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(name).digest().subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x50
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
