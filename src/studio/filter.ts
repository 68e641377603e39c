import type { RecordedEvent } from '../events/event.ts'

export type Filter = (event: Pick<RecordedEvent, 'category' | 'streamId' | 'type' | 'id'>) => boolean

/**
 * Words that category, stream, type or id have to contain, each of them, whatever the case; a word behind a minus none may
 * contain. It is asked before events are left out of a busy tail, so that a rare one is seen.
 */
export function filterOf(text: string): Filter {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  const without = words.filter((word) => word.startsWith('-') && word.length > 1).map((word) => word.slice(1))
  const within = words.filter((word) => !word.startsWith('-'))
  if (within.length + without.length === 0) return () => true
  return ({ category, streamId, type, id }) => {
    const whole = `${category}/${streamId} ${type} ${id}`.toLowerCase()
    return within.every((word) => whole.includes(word)) && !without.some((word) => whole.includes(word))
  }
}
