import type { RecordedEvent } from '../../src/index.ts'

/** A short name of an event: `a0` names the first event of the stream `a`. */
export const named = ({ streamId, version }: RecordedEvent): string => `${streamId}${version}`
