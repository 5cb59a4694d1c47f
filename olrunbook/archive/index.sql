-- The order of the key of `runs` is the order of every list: newest last.
CREATE TABLE IF NOT EXISTS about (archive TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rooms (
    target TEXT,
    app TEXT,
    room TEXT,
    seen TEXT NOT NULL,
    PRIMARY KEY (target, app, room)
);
CREATE TABLE IF NOT EXISTS runs (
    at TEXT,
    run_id TEXT,
    target TEXT,
    app TEXT,
    room TEXT,
    notebook TEXT NOT NULL,
    stamp TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT '',
    seconds REAL,
    text TEXT NOT NULL DEFAULT '',
    who TEXT NOT NULL DEFAULT '',
    operator TEXT NOT NULL DEFAULT '',
    images TEXT NOT NULL DEFAULT '',
    release TEXT NOT NULL DEFAULT '',
    resumes TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (at, run_id, target, app, room)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_room ON runs (target, app, room);
CREATE INDEX IF NOT EXISTS by_target ON runs (target, at);
CREATE INDEX IF NOT EXISTS by_id ON runs (run_id);
