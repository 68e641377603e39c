import { readFile } from 'node:fs/promises'

/** A flight as the file has it; `delay` in minutes, `distance` in miles, `origin` and `destination` as airport codes. */
export interface Flight {
  date: string
  delay: number
  distance: number
  origin: string
  destination: string
}

/** What the read model is to hold of an airport; the mean delay is `delay / departures`. */
export interface Departures {
  airport: string
  departures: number
  delay: number
  longest: number
}

/** The first DEMO_FLIGHTS of 20,000 flights in the United States in early 2001, in the order of their departure. */
export async function readFlights(): Promise<Flight[]> {
  const file = new URL('../data/flights-20k.json', import.meta.resolve('vega-datasets'))
  const flights: Flight[] = JSON.parse(await readFile(file, 'utf8'))
  const count = Number(process.env.DEMO_FLIGHTS || flights.length)
  if (!Number.isInteger(count) || count < 1_000 || count > flights.length)
    throw new Error(`DEMO_FLIGHTS must be 1000 to ${flights.length}, got ${process.env.DEMO_FLIGHTS}`)
  return flights.slice(0, count)
}

/** The figures straight from the file, without a store: what the read model must come to. */
export function countDirectly(flights: readonly Flight[]): Departures[] {
  const airports = new Map<string, Departures>()
  for (const { origin, delay } of flights) {
    const row = airports.get(origin) ?? { airport: origin, departures: 0, delay: 0, longest: delay }
    airports.set(origin, {
      airport: origin,
      departures: row.departures + 1,
      delay: row.delay + delay,
      longest: Math.max(row.longest, delay),
    })
  }
  if (process.env.DEMO_BREAK) airports.values().next().value!.delay++ // must be found, or the comparison is worth nothing
  return [...airports.values()]
}

/** The airports in which the two differ, each as a line. */
export function differences(expected: readonly Departures[], found: readonly Departures[]): string[] {
  const show = (row?: Departures) =>
    row ? `${row.departures} departures, delay ${row.delay} min, at most ${row.longest} min` : 'nothing'
  const byAirport = (rows: readonly Departures[]) => new Map(rows.map((row) => [row.airport, show(row)]))
  const [want, have] = [byAirport(expected), byAirport(found)]
  return [...new Set([...want.keys(), ...have.keys()])]
    .sort()
    .filter((airport) => want.get(airport) !== have.get(airport))
    .map(
      (airport) =>
        `${airport}: file ${want.get(airport) ?? show()}; read model ${have.get(airport) ?? show()}`,
    )
}
