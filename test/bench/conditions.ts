import { randomUUID } from 'node:crypto'
import type { Sample } from './report.ts'
import type { Setting } from './setting.ts'
import { data } from './setting.ts'
import { speedOf } from './statistics.ts'

/** Appends with two tags and a condition, and decisions by a model, against plain appends by as many clients to the same store. */
export async function conditions(setting: Setting): Promise<Sample[]> {
  const samples: Sample[] = []
  for (const clients of [1, 32]) {
    const meow = await (await setting.database()).store()
    const { seconds } = setting
    const stream = () => ({ category: 'order', streamId: randomUUID() })
    const plain = await speedOf({ clients, seconds }, () => meow.append(stream(), { type: 'Evt', data }))
    const tagged = await speedOf({ clients, seconds }, () => {
      const tags = [`order:${randomUUID()}`, `customer:${randomUUID()}`] as const
      return meow.append(stream(), { type: 'Evt', data, tags }, { failIf: { query: { tags } } })
    })
    const model = {
      query: (tag: string) => ({ tags: [tag] as const }),
      initial: 0,
      evolve: (count: number) => count + 1,
      decide: (tag: string) => ({ stream: stream(), events: { type: 'Evt', data, tags: [tag] } }),
    }
    const decided = await speedOf({ clients, seconds }, () => meow.decide(model, `t:${randomUUID()}`))
    const limit = plain.rate
    const of = clients === 1 ? '1 caller' : `${clients} callers`
    samples.push({
      what: `append with two tags and a condition, ${of}`,
      unit: '/s',
      ours: tagged.rate,
      limit,
      goal: 0.6,
    })
    samples.push({ what: `decide by a model, distinct tags, ${of}`, unit: '/s', ours: decided.rate, limit })
  }
  return samples
}
