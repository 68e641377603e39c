/**
 * The SQL files of each release, by their SHA-256: once released a file is never edited, for nobody would run it again. With
 * a release, add what is new in it; the first entry is the oldest store that `migrate()` has to take along.
 */
export const released: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // Not out yet: until it is, a file that has to change brings its new hash along.
  '0.1.0': {
    '001_events.sql': '49ed856ec18a2729e8ab128ed8df1766da719e5254f0b54bf4ba890c83d68ce4',
    '002_announce.sql': '81754abcf88c6c631d5e976ba395723225fc1a3a0a633e70f8db3d5eed61f66d',
    '003_horizon.sql': 'c6ab6499b059235509ecd7ccb0c0335968c52464599854070e68c5cd5c35076c',
    '004_notify.sql': 'f8ea23c3bd0fce0f5f005e2e314bb97f5a3ccc2bf1448d1a3845e4f5f59525a9',
    '005_append.sql': '1333b541969b3b5bdfac72dfe9d3498bae44ca64be130879cf383bd91d7b72e1',
    '006_subscriptions.sql': '067c8d082bb861c006bab3cc02730e36f43913e8a3d77d2d950697a2f4abe336',
    '007_executors.sql': '02f54572b4f90bfc3a4b1f1fe24a1eb72db4c29bc1c7c202b4b25dbb3ec8990d',
    '008_parked.sql': '8676fe539b65658e4e1ebb6e6e1cbb98eb3e26f658784cc2facbe7314709e43c',
    '009_manage.sql': 'aae2300c0a286ca6e3e9d83888655544a6fccc29dc5a32b93953024db843274d',
    '010_quiet.sql': '0cc2d3409c1eff682a09c4fe5c9a86221a9722e2efc51e722418d5ea6b190820',
    '011_snapshots.sql': '27ccdbb03a1383ae8e8813d6ff6bd222d2792d25241dbf495e5e4e3050e3d632',
  },
}
