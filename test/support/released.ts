/**
 * The SQL files of each release, by their SHA-256: once released a file is never edited, for nobody would run it again. With
 * a release, add what is new in it; the first entry is the oldest store that `migrate()` has to take along.
 */
export const released: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // Not out yet: until it is, a file that has to change brings its new hash along.
  '0.1.0': {
    '001_events.sql': '77ed4de63e5b8b01135af2d9f4bbd446bf89971fef6d92c145031787a5b75f7a',
    '002_announce.sql': '903f5cad7f41ff0285f4d67981dbf3f884944ca7a121b618728f940f659b4a86',
    '003_horizon.sql': 'fd47eab9d8028273e4c089d19049f6ec35f4ac7e8ac59a89a1b74cd1791fc9e0',
    '004_notify.sql': '6aeb7988cb819032d17f82e32e47b989b07dc610687d77532f9952736bff287c',
    '005_append.sql': '98258a2b3e7428d6e070cdb9f5941073c289bdd42d17eae582654a33e44fb563',
    '006_subscriptions.sql': 'f3d5b2c7d9845c6417f053dec683e842c259f47f3a821ebd62f494059d17fb66',
    '007_executors.sql': '02f54572b4f90bfc3a4b1f1fe24a1eb72db4c29bc1c7c202b4b25dbb3ec8990d',
    '008_parked.sql': '4fd0353fbecce551c0358a728ea530309e4005a12d522d0c385ea742db33ef00',
    '009_manage.sql': '02ac2d752de5fca0a9c67c6a35a05db3ca0294ed92ac56c5ec7c73a7da2e3505',
    '010_quiet.sql': 'e1ee7650a73f20725beb27b041b3314fc2dd5e2245ca875e7d31dcdb2807ceb2',
    '011_snapshots.sql': 'a1bd4afcf9b2ae4fe04042ceb7f0c7e3ace7c8a588f5582a1f62cc0d81ea8485',
  },
}
