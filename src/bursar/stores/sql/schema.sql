-- The ledger, version 1. Amounts are integers: nano-USD, tokens, requests. Instants are nanoseconds since 1970, UTC.
-- STRICT refuses floats and overflow; the CHECKs refuse a negative balance.

-- "burs": no other program's database is taken for a ledger.
PRAGMA application_id = 1651864179;

-- One row per limit of a budget. limit_amount is the one last defined: a hold brings its own limits, and only a balance
-- that began while the hold was open is measured by this one.
CREATE TABLE budget (
    id           INTEGER PRIMARY KEY,
    tenant       TEXT NOT NULL,
    identity     TEXT NOT NULL,
    unit         TEXT NOT NULL,
    name         TEXT NOT NULL,
    limit_amount INTEGER NOT NULL,
    is_active    INTEGER NOT NULL,
    UNIQUE (tenant, identity, unit)
) STRICT;

-- One row per budget, unit, window and scope. A new window is a new row: nothing is ever reset.
CREATE TABLE balance (
    id        INTEGER PRIMARY KEY,
    budget_id INTEGER NOT NULL REFERENCES budget (id),
    starts_ns INTEGER NOT NULL,
    ends_ns   INTEGER NOT NULL,
    scope     TEXT NOT NULL,
    settled   INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
    presumed  INTEGER NOT NULL DEFAULT 0 CHECK (presumed >= 0),
    held      INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    UNIQUE (budget_id, starts_ns, scope)
) STRICT;

-- One row per call. balances holds the ids of the balances that it counts against, and asked the numbers of its Ask,
-- comma separated.
CREATE TABLE hold (
    id                 TEXT PRIMARY KEY,
    tenant             TEXT NOT NULL,
    process            TEXT NOT NULL,
    state              INTEGER NOT NULL,
    opened_ns          INTEGER NOT NULL,
    closed_ns          INTEGER NOT NULL DEFAULT 0,
    balances           TEXT NOT NULL,
    asked              TEXT NOT NULL,
    fixed_pico         INTEGER NOT NULL,
    output_pico        INTEGER NOT NULL,
    cover_input        INTEGER NOT NULL,
    choices            INTEGER NOT NULL,
    tokens             INTEGER NOT NULL,
    attempts           INTEGER NOT NULL DEFAULT 1,
    cost_nano          INTEGER NOT NULL DEFAULT 0,
    input_tokens       INTEGER NOT NULL DEFAULT 0,
    cached_tokens      INTEGER NOT NULL DEFAULT 0,
    cache_write_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens      INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens   INTEGER NOT NULL DEFAULT 0,
    requests           INTEGER NOT NULL DEFAULT 0,
    flags              INTEGER NOT NULL DEFAULT 0,
    price              TEXT NOT NULL DEFAULT '',
    labels             TEXT NOT NULL,
    note               TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE INDEX hold_open ON hold (process) WHERE state = 0;
CREATE INDEX hold_opened ON hold (opened_ns);

-- The immutable ledger: rows are added, never changed. Balances are the fold of these rows.
CREATE TABLE entry (
    seq                INTEGER PRIMARY KEY,
    hold_id            TEXT NOT NULL,
    book               TEXT NOT NULL,
    recorded_ns        INTEGER NOT NULL,
    cost_nano          INTEGER NOT NULL,
    input_tokens       INTEGER NOT NULL,
    cached_tokens      INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    output_tokens      INTEGER NOT NULL,
    reasoning_tokens   INTEGER NOT NULL,
    requests           INTEGER NOT NULL,
    flags              INTEGER NOT NULL,
    price              TEXT NOT NULL
) STRICT;

-- One row per process that may own open holds; a heartbeat that lapses makes them presumed.
CREATE TABLE process (
    id      TEXT PRIMARY KEY,
    beat_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
