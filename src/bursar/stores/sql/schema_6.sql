-- The ledger, version 6: open holds stand in a table of their own. A hold is written before its call may go out, so what
-- that writes is what a call waits for: one page now, where the row and its three indexes were four. The indexes are
-- written when it has ended, for many at once. A file is changed in an instant: no row moves but those that are open.

ALTER TABLE hold RENAME TO ended_hold;

CREATE TABLE open_hold (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    process     TEXT NOT NULL,
    opened_ns   INTEGER NOT NULL,
    balances    TEXT NOT NULL,
    asked       TEXT NOT NULL,
    fixed_pico  INTEGER NOT NULL,
    output_pico INTEGER NOT NULL,
    cover_input INTEGER NOT NULL,
    choices     INTEGER NOT NULL,
    tokens      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 1,
    labels      TEXT NOT NULL,
    run         TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO open_hold SELECT id, tenant, process, opened_ns, balances, asked, fixed_pico, output_pico, cover_input,
                             choices, tokens, attempts, labels, run
FROM ended_hold WHERE state = 0;

DELETE FROM ended_hold WHERE state = 0;

DROP INDEX hold_open;

-- The counts of a run stand in a row of `balance`: a call writes that page anyway. Settled are its steps but for those in
-- flight, presumed its tool calls, and held its calls in flight. They are under a budget of no limit, in the unit `calls`.
ALTER TABLE run ADD COLUMN counts INTEGER NOT NULL DEFAULT 0;

INSERT INTO budget (tenant, identity, unit, name, limit_amount, is_active)
SELECT DISTINCT tenant, 'run', 'calls', '', 0, 0 FROM run;

INSERT INTO balance (budget_id, starts_ns, ends_ns, scope, settled, presumed, held)
SELECT budget.id, 0, 0, run.run, max(0, run.steps - run.in_flight), run.tool_calls, run.in_flight
FROM run JOIN budget ON budget.tenant = run.tenant AND budget.identity = 'run' AND budget.unit = 'calls';

UPDATE run SET counts = balance.id
FROM balance JOIN budget ON budget.id = balance.budget_id
WHERE budget.identity = 'run' AND budget.unit = 'calls' AND budget.tenant = run.tenant AND balance.scope = run.run;

ALTER TABLE run DROP COLUMN steps;

ALTER TABLE run DROP COLUMN tool_calls;

ALTER TABLE run DROP COLUMN in_flight;

-- Every call, as it was in one table. A constant has the type of the column that it stands for: else SQLite makes the
-- whole of it first, whatever a query asks for.
CREATE VIEW hold AS
SELECT id, tenant, process, state, opened_ns, closed_ns, balances, asked, fixed_pico, output_pico, cover_input, choices,
       tokens, attempts, cost_nano, input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
       requests, flags, price, labels, note, run
FROM ended_hold
UNION ALL
SELECT id, tenant, process, CAST(0 AS INTEGER), opened_ns, CAST(0 AS INTEGER), balances, asked, fixed_pico, output_pico,
       cover_input, choices, tokens, attempts, CAST(0 AS INTEGER), CAST(0 AS INTEGER), CAST(0 AS INTEGER),
       CAST(0 AS INTEGER), CAST(0 AS INTEGER), CAST(0 AS INTEGER), CAST(0 AS INTEGER), CAST(0 AS INTEGER),
       CAST('' AS TEXT), labels, CAST('' AS TEXT), run
FROM open_hold;
