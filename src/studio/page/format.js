// Formats numbers, times and names.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
const time = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
})
const day = new Intl.DateTimeFormat('en-CA', { year: 'numeric', month: '2-digit', day: '2-digit' })

/** 1,234.5 */
export const number = (value) => whole.format(value)

/** ~1,234: an estimate. */
export const about = (value, isEstimate) => `${isEstimate ? '~' : ''}${number(value)}`

/** 1 stream, 2 streams */
export const counted = (value, what, isEstimate = false) =>
  `${about(value, isEstimate)} ${what}${value === 1 ? '' : 's'}`

/** 3 streams, ~120 events: what is parked. */
export const parkedText = (streams, events, isEstimate) =>
  `${counted(streams, 'stream')}, ${counted(events, 'event', isEstimate)}`

/** 12:34:56.789, of today; else with the date before it. */
export function clock(ms) {
  const date = new Date(ms)
  return day.format(date) === day.format(new Date())
    ? time.format(date)
    : `${day.format(date)} ${time.format(date)}`
}

export const full = (ms) => `${day.format(new Date(ms))} ${time.format(new Date(ms))}`

/** 3.2 s, 4 min, 5 h */
export function duration(ms) {
  const s = Math.max(0, ms) / 1_000
  if (s < 100) return `${s.toFixed(1)} s`
  if (s < 6_000) return `${Math.round(s / 60)} min`
  return s < 172_800 ? `${Math.round(s / 3_600)} h` : `${Math.round(s / 86_400)} days`
}

/** What a subscription consumes. */
export function selector({ category, types, streamId }) {
  const from =
    category === undefined
      ? 'every event'
      : streamId === undefined
        ? [category].flat().join(', ')
        : `${category}/${streamId}`
  return types ? `${from}: ${types.join(', ')}` : from
}

/** The address of a search for an id. */
export const searchHref = (text) => `#/search/${encodeURIComponent(text)}`

/** Where a stream is shown. */
export const streamHref = (category, streamId, version) =>
  `#/stream/${encodeURIComponent(category)}/${encodeURIComponent(streamId)}${version === undefined ? '' : `/${version}`}`
