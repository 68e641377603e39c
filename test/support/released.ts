/**
 * The SQL files of each release, by their SHA-256: once released a file is never edited, for nobody would run it again. With
 * a release, add what is new in it; the first entry is the oldest store that `migrate()` has to take along.
 */
export const released: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // Not out yet: until it is, a file that has to change brings its new hash along.
  '0.1.0': {
    '001_events.sql': '49ed856ec18a2729e8ab128ed8df1766da719e5254f0b54bf4ba890c83d68ce4',
    '002_announce.sql': 'e8769e9d66bd6e0670e2a4bfd3923628155ec9335570de3afd78d600a8da6551',
    '003_horizon.sql': 'fea9e9d6f54a4ee459fbc1a397fc09181ac27af96a67a3b59906331f97e108bc',
    '004_notify.sql': 'ec0c9159ef8d8d87d6f073af5c47ebda9599ba78afd5867d2e066ef835b48139',
    '005_append.sql': '59c048b0a3640eef5439165af529e7409958a68ddc6abd197ed25a9425614bd1',
    '006_subscriptions.sql': '067c8d082bb861c006bab3cc02730e36f43913e8a3d77d2d950697a2f4abe336',
    '007_executors.sql': '02f54572b4f90bfc3a4b1f1fe24a1eb72db4c29bc1c7c202b4b25dbb3ec8990d',
    '008_parked.sql': '4fd0353fbecce551c0358a728ea530309e4005a12d522d0c385ea742db33ef00',
    '009_manage.sql': '16d6ad138aa367503ab2b1345db1abff2d8e422366f84d253af1c8a6797143b1',
    '010_quiet.sql': '0cc2d3409c1eff682a09c4fe5c9a86221a9722e2efc51e722418d5ea6b190820',
    '011_snapshots.sql': '27ccdbb03a1383ae8e8813d6ff6bd222d2792d25241dbf495e5e4e3050e3d632',
  },
}
