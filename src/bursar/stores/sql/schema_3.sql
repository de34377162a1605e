-- The ledger, version 3: runs, which guards watch. Nothing is written here while no guard looks at runs.

-- One row per run. extras is a JSON object: what people granted beyond the limits, by guard. prefix is the digest of the
-- conversation that a run was inferred from, "" where somebody named it.
CREATE TABLE run (
    tenant     TEXT NOT NULL,
    run        TEXT NOT NULL,
    began_ns   INTEGER NOT NULL,
    state      TEXT NOT NULL,
    since_ns   INTEGER NOT NULL,
    last_ns    INTEGER NOT NULL,
    steps      INTEGER NOT NULL CHECK (steps >= 0),
    tool_calls INTEGER NOT NULL CHECK (tool_calls >= 0),
    in_flight  INTEGER NOT NULL CHECK (in_flight >= 0),
    parent     TEXT NOT NULL,
    depth      INTEGER NOT NULL,
    children   INTEGER NOT NULL,
    guard      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    figure     INTEGER NOT NULL,
    extras     TEXT NOT NULL,
    prefix     TEXT NOT NULL,
    PRIMARY KEY (tenant, run)
) STRICT, WITHOUT ROWID;

-- None by last_ns: it changes with every call, and only lists for people are sorted by it.
CREATE INDEX run_prefix ON run (tenant, prefix, began_ns) WHERE prefix <> '';

-- One row per open hold that a run's row counts as in flight.
CREATE TABLE run_hold (
    hold_id TEXT PRIMARY KEY,
    tenant  TEXT NOT NULL,
    run     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
