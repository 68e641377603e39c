export const packages = ['pg-boss@10.4.2']

async function start(url, max, load) {
  const { default: PgBoss } = await load('pg-boss')
  const boss = new PgBoss({ connectionString: url, max, schedule: false, supervise: false })
  boss.on('error', () => {})
  await boss.start()
  return boss
}

export async function setUp(url, load) {
  const boss = await start(url, 2, load)
  await boss.createQueue('order')
  await boss.stop({ graceful: false })
}

export async function writer(url, clients, load) {
  const boss = await start(url, clients, load)
  return { append: (_stream, data) => boss.send('order', data), close: () => boss.stop({ graceful: false }) }
}

export async function subscribe(url, see, load) {
  const boss = await start(url, 2, load)
  await boss.work('order', { pollingIntervalSeconds: 0.5, batchSize: 100 }, async (jobs) => {
    for (const { data } of jobs) see(data)
  })
}
