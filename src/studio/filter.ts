// The filter of the tail.
import type { RecordedEvent } from '../events/event.ts'

export type Filter = (event: Pick<RecordedEvent, 'category' | 'streamId' | 'type' | 'id' | 'tags'>) => boolean

/**
 * Makes a filter of words. Category, stream, type, id or a tag must contain every word, in upper or lower case, and no word that has
 * a minus in front. The filter is applied before a busy tail drops events, so rare events are seen.
 */
export function filterOf(text: string): Filter {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  const without = words.filter((word) => word.startsWith('-') && word.length > 1).map((word) => word.slice(1))
  const within = words.filter((word) => !word.startsWith('-'))
  if (within.length + without.length === 0) return () => true
  return ({ category, streamId, type, id, tags }) => {
    const whole = `${category}/${streamId} ${type} ${id} ${tags.join(' ')}`.toLowerCase()
    return within.every((word) => whole.includes(word)) && !without.some((word) => whole.includes(word))
  }
}
