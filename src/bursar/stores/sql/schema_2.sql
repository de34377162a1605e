-- The ledger, version 2: what an operator sets while bursar runs, and the record of every change; names of
-- responses; and an index.

-- One row per thing that was set. body and shown are JSON; of a key there is only its digest.
CREATE TABLE control (
    kind       TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    body       TEXT NOT NULL,
    shown      TEXT NOT NULL,
    changed_ns INTEGER NOT NULL,
    PRIMARY KEY (kind, tenant, name)
) STRICT, WITHOUT ROWID;

-- One row per change, added in the same transaction, never changed. The highest seq is the version.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY,
    at_ns      INTEGER NOT NULL,
    tenant     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    before     TEXT NOT NULL,
    after      TEXT NOT NULL
) STRICT;

CREATE INDEX audit_tenant ON audit (tenant, seq);

-- Who follows calls as they end reads them by that instant; each close adds to its end.
CREATE INDEX hold_closed ON hold (closed_ns) WHERE closed_ns > 0;

-- The call behind each response that a later request may continue or read.
CREATE TABLE response (
    tenant  TEXT NOT NULL,
    id      TEXT NOT NULL,
    hold_id TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
