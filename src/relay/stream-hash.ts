// The hash that spreads streams over partitions, as sql/functions/stream_hash.sql computes it.

const utf8 = new TextEncoder()

/**
 * The hash of a stream: 31 bits, the same for ever, and the same as `stream_hash` in the database.
 */
export function streamHash(category: string, streamId: string): number {
  const [high, low] = hashExtended(utf8.encode(category), 0, 0)
  return hashExtended(utf8.encode(streamId), high, low)[1] & 0x7fffffff
}

/**
 * PostgreSQL's hashtextextended for text whose collation is deterministic: hash_bytes_extended of src/common/hashfn.c, which is
 * Bob Jenkins' lookup3 with a seed of 64 bits. Returns the upper and the lower half.
 */
function hashExtended(key: Uint8Array, seedHigh: number, seedLow: number): [high: number, low: number] {
  const words = new DataView(key.buffer, key.byteOffset, key.byteLength)
  let a = (0x9e3779b9 + key.length + 3923095) | 0
  let b = a
  let c = a
  const mix = () => {
    a = ((a - c) ^ rotate(c, 4)) | 0
    c = (c + b) | 0
    b = ((b - a) ^ rotate(a, 6)) | 0
    a = (a + c) | 0
    c = ((c - b) ^ rotate(b, 8)) | 0
    b = (b + a) | 0
    a = ((a - c) ^ rotate(c, 16)) | 0
    c = (c + b) | 0
    b = ((b - a) ^ rotate(a, 19)) | 0
    a = (a + c) | 0
    c = ((c - b) ^ rotate(b, 4)) | 0
    b = (b + a) | 0
  }
  if (seedHigh !== 0 || seedLow !== 0) {
    a = (a + seedHigh) | 0
    b = (b + seedLow) | 0
    mix()
  }
  let at = 0
  for (; key.length - at >= 12; at += 12) {
    a = (a + words.getInt32(at, true)) | 0
    b = (b + words.getInt32(at + 4, true)) | 0
    c = (c + words.getInt32(at + 8, true)) | 0
    mix()
  }
  // The last bytes. The lowest byte of c is kept for the length.
  for (let i = at; i < key.length; i++) {
    const n = i - at
    if (n < 4) a = (a + (key[i]! << (8 * n))) | 0
    else if (n < 8) b = (b + (key[i]! << (8 * (n - 4)))) | 0
    else c = (c + (key[i]! << (8 * (n - 7)))) | 0
  }
  c = ((c ^ b) - rotate(b, 14)) | 0
  a = ((a ^ c) - rotate(c, 11)) | 0
  b = ((b ^ a) - rotate(a, 25)) | 0
  c = ((c ^ b) - rotate(b, 16)) | 0
  a = ((a ^ c) - rotate(c, 4)) | 0
  b = ((b ^ a) - rotate(a, 14)) | 0
  c = ((c ^ b) - rotate(b, 24)) | 0
  return [b, c]
}

const rotate = (word: number, bits: number) => (word << bits) | (word >>> (32 - bits))
