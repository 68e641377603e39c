/**
 * The SQL files of each release, by their SHA-256: once released a file is never edited, for nobody would run it again. With
 * a release, add what is new in it; the first entry is the oldest store that `migrate()` has to take along.
 */
export const released: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // Not out yet: until it is, a file that has to change brings its new hash along.
  '0.1.0': {
    '001_events.sql': '87364d00d8cf772fced40758e2656a7f9b6d39bc79487b0e9eef177094c00968',
    '002_announce.sql': 'e8769e9d66bd6e0670e2a4bfd3923628155ec9335570de3afd78d600a8da6551',
    '003_horizon.sql': 'fd47eab9d8028273e4c089d19049f6ec35f4ac7e8ac59a89a1b74cd1791fc9e0',
    '004_notify.sql': '008057eaf7fa200d4de2aaad6da29101f4c8f8dda3ae4597976c702ba24f8b0e',
    '005_append.sql': 'b36bde2b56d911ffb468482c3fc7a54d7628782be0417c0eb5321eca6a239da5',
    '006_subscriptions.sql': 'fd6cf799f0f927ad7360c90bc28403ea98e5df342a0967a5d1f5b80abeebd9d0',
    '007_executors.sql': '02f54572b4f90bfc3a4b1f1fe24a1eb72db4c29bc1c7c202b4b25dbb3ec8990d',
    '008_parked.sql': '4fd0353fbecce551c0358a728ea530309e4005a12d522d0c385ea742db33ef00',
    '009_manage.sql': '4b654a50e9d092cdd78d285471d8a032cdddcfc3cf33fb4ccc6a4d11ea81da03',
    '010_quiet.sql': 'e1ee7650a73f20725beb27b041b3314fc2dd5e2245ca875e7d31dcdb2807ceb2',
    '011_snapshots.sql': '27ccdbb03a1383ae8e8813d6ff6bd222d2792d25241dbf495e5e4e3050e3d632',
  },
}
