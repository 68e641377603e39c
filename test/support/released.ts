/**
 * The SQL files of each release, by their SHA-256: once released a file is never edited, for nobody would run it again. With
 * a release, add what is new in it; the first entry is the oldest store that `migrate()` has to take along.
 */
export const released: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // Not out yet: until it is, a file that has to change brings its new hash along.
  '0.1.0': {
    '001_events.sql': 'ce2398953b6ea50ac8b62b5834bfbe772e6b421bfdef7a453b02b0fe5a19f53c',
    '002_announce.sql': '38a1175cd35486f8226615d34e1aae8328b4263d5d17f8188637a28285e31654',
    '003_horizon.sql': 'fd47eab9d8028273e4c089d19049f6ec35f4ac7e8ac59a89a1b74cd1791fc9e0',
    '004_notify.sql': '447131fd87d74b2b7eb20bbc1f3bd1f36b44ef7b37bfef710f54b8d1707c006e',
    '005_append.sql': '23c48d10bc49216cf02ee15cf12bc5bb94374a9c8fbc4b8f9e66c3af608afb69',
    '006_subscriptions.sql': 'fd6cf799f0f927ad7360c90bc28403ea98e5df342a0967a5d1f5b80abeebd9d0',
    '007_executors.sql': '02f54572b4f90bfc3a4b1f1fe24a1eb72db4c29bc1c7c202b4b25dbb3ec8990d',
    '008_parked.sql': '4fd0353fbecce551c0358a728ea530309e4005a12d522d0c385ea742db33ef00',
    '009_manage.sql': 'e5983afadb1d4e8e84e51f23dbd388f12a0e754c4e6dc87fccc3e1ea9a02b8db',
    '010_quiet.sql': 'e1ee7650a73f20725beb27b041b3314fc2dd5e2245ca875e7d31dcdb2807ceb2',
    '011_snapshots.sql': '27ccdbb03a1383ae8e8813d6ff6bd222d2792d25241dbf495e5e4e3050e3d632',
  },
}
