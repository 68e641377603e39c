export const packages = ['graphile-worker@0.16.6', 'pg@8']

const silent = async (load) => {
  const { Logger } = await load('graphile-worker')
  return new Logger(() => () => {})
}

export async function setUp(url, load) {
  const { makeWorkerUtils } = await load('graphile-worker')
  const utils = await makeWorkerUtils({ connectionString: url, logger: await silent(load) })
  await utils.migrate()
  await utils.release()
}

export async function writer(url, clients, load) {
  const { makeWorkerUtils } = await load('graphile-worker')
  const pg = await load('pg')
  const pgPool = new pg.default.Pool({ connectionString: url, max: clients })
  pgPool.on('error', () => {})
  const utils = await makeWorkerUtils({ pgPool, logger: await silent(load) })
  return {
    append: (_stream, data) => utils.addJob('order', data),
    close: () => Promise.resolve(utils.release()).then(() => pgPool.end()),
  }
}

export async function subscribe(url, see, load) {
  const { run } = await load('graphile-worker')
  const taskList = { order: async (data) => see(data) }
  const logger = await silent(load)
  await run({ connectionString: url, logger, noHandleSignals: true, crontab: '', concurrency: 1, taskList })
}
