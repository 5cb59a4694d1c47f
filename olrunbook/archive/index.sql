-- The order of the key of `runs` is the order of every list: newest last.
CREATE TABLE IF NOT EXISTS about (archive TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rooms (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    app TEXT NOT NULL,
    room TEXT NOT NULL,
    seen TEXT NOT NULL DEFAULT '',
    UNIQUE (target, app, room)
);
CREATE TABLE IF NOT EXISTS runs (
    at TEXT,
    run_id TEXT,
    room_id INTEGER,
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
    PRIMARY KEY (at, run_id, room_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_room ON runs (room_id, notebook);
CREATE INDEX IF NOT EXISTS by_id ON runs (run_id);
