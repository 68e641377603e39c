// Finds the end of an earlier export in a file.
import type { FileHandle } from 'node:fs/promises'
import { UsageError } from './arguments.ts'

const BLOCK = 64 * 1024
const NEWLINE = 10

/** The position in the last complete line of a file, and where that line ends. An incomplete line after it is ignored. */
export async function lastPosition(
  file: FileHandle,
  path: string,
): Promise<{ position: number | undefined; end: number }> {
  const { size } = await file.stat()
  const end = await newlineBefore(file, size)
  if (end === 0 && size > 0) await refuseOthers(file, path)
  if (end === 0) return { position: undefined, end }
  const start = await newlineBefore(file, end - 1)
  const text = Buffer.alloc(end - start)
  await file.read(text, 0, text.length, start)
  const position = positionOf(text.toString())
  if (position === undefined)
    throw new UsageError(
      `${path} does not end with an exported event, its last line ends at byte ${end}: choose another file`,
    )
  return { position, end }
}

/** The offset after the last line break before `end`; 0 if there is none. */
async function newlineBefore(file: FileHandle, end: number): Promise<number> {
  const block = Buffer.alloc(BLOCK)
  for (let high = end; high > 0; ) {
    const low = Math.max(high - BLOCK, 0)
    const { bytesRead } = await file.read(block, 0, high - low, low)
    const at = block.subarray(0, bytesRead).lastIndexOf(NEWLINE)
    if (at >= 0) return low + at + 1
    high = low
  }
  return 0
}

/** Refuses a file whose only line is incomplete, unless that line is from an export: the caller removes incomplete lines. */
async function refuseOthers(file: FileHandle, path: string): Promise<void> {
  const head = Buffer.alloc(7)
  const { bytesRead } = await file.read(head, 0, head.length, 0)
  if (!'{"id":"'.startsWith(head.subarray(0, bytesRead).toString()))
    throw new UsageError(`${path} holds something else than exported events: choose another file`)
}

function positionOf(line: string): number | undefined {
  try {
    const { position } = JSON.parse(line) as { position?: unknown }
    return Number.isSafeInteger(position) ? (position as number) : undefined
  } catch {
    return undefined
  }
}
