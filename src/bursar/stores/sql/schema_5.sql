-- The ledger, version 5: the rows of holds stand in the order in which they came, and their ids in an index. Ordered by
-- id, rows of half a kilobyte stood in the inner pages of the tree as well: three to a page, a dozen pages deep, and
-- every third new one split a page and moved its neighbours.

CREATE TABLE hold_5 (
    id                 TEXT NOT NULL UNIQUE,
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
    note               TEXT NOT NULL DEFAULT '',
    run                TEXT NOT NULL DEFAULT ''
) STRICT;

INSERT INTO hold_5 SELECT id, tenant, process, state, opened_ns, closed_ns, balances, asked, fixed_pico, output_pico,
                          cover_input, choices, tokens, attempts, cost_nano, input_tokens, cached_tokens,
                          cache_write_tokens, output_tokens, reasoning_tokens, requests, flags, price, labels, note, run
FROM hold ORDER BY id;

DROP TABLE hold;

ALTER TABLE hold_5 RENAME TO hold;

CREATE INDEX hold_open ON hold (process) WHERE state = 0;

CREATE INDEX hold_opened ON hold (opened_ns);

CREATE INDEX hold_closed ON hold (closed_ns) WHERE closed_ns > 0;
