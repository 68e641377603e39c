import { connect } from 'meowmx'

export const packages = []

export async function setUp(url) {
  const meow = await connect({ connectionString: url })
  await meow.migrate()
  await meow.close()
}

export async function writer(url) {
  const meow = await connect({ connectionString: url })
  return {
    append: (streamId, data) =>
      meow.append({ category: 'order', streamId }, { type: 'Evt', data }, { expectedVersion: 'no-stream' }),
    close: () => meow.close(),
  }
}

export async function subscribe(url, see) {
  const meow = await connect({ connectionString: url })
  await meow.subscription('live', { category: 'order' }).process(({ data }) => see(data)).ready
}
