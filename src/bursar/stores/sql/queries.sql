-- Each query has a name and a line of purpose; parameters are bound by name, in what runs for every call by place.
-- `IN (:ids)` takes a list of numbers, `VALUES :rows` some rows at once.

-- name: budget_find
-- Find the row of one limit of a budget.
SELECT id, is_active FROM budget WHERE tenant = :tenant AND identity = :identity AND unit = :unit;

-- name: budget_insert
-- Record one limit of a budget that was not known before; it is active only once it is defined.
INSERT INTO budget (tenant, identity, unit, name, limit_amount, is_active)
VALUES (:tenant, :identity, :unit, :name, :limit_amount, 0);

-- name: budget_list
-- List every limit of every budget that was ever defined, for what differs from a configuration.
SELECT id, tenant, identity, unit, name, limit_amount, is_active FROM budget;

-- name: budget_retire
-- Mark a limit of a budget as no longer defined.
UPDATE budget SET is_active = 0 WHERE id = :id;

-- name: budget_put
-- Define one limit of a budget, at the amount it has now.
INSERT INTO budget (tenant, identity, unit, name, limit_amount, is_active)
VALUES (:tenant, :identity, :unit, :name, :limit_amount, :is_active)
ON CONFLICT (tenant, identity, unit)
DO UPDATE SET name = excluded.name, limit_amount = excluded.limit_amount, is_active = excluded.is_active;

-- name: budget_finish
-- Record that a limit of a budget has counted all that came before it, unless it was taken out meanwhile.
UPDATE budget SET is_active = 1 WHERE tenant = :tenant AND identity = :identity AND unit = :unit AND is_active = 2;

-- name: balance_find
-- Find the balance of a line.
SELECT id FROM balance WHERE budget_id = :budget_id AND starts_ns = :starts_ns AND scope = :scope;

-- name: balance_count
-- Count the scopes of a budget in a window, for values_max.
SELECT count(*) FROM balance WHERE budget_id = :budget_id AND starts_ns = :starts_ns AND scope <> '(other)';

-- name: balance_insert
-- Open a balance at zero.
INSERT INTO balance (budget_id, starts_ns, ends_ns, scope) VALUES (:budget_id, :starts_ns, :ends_ns, :scope);

-- name: balance_read
-- Read the sums of some balances.
SELECT id, settled, presumed, held FROM balance WHERE id IN (:ids);

-- name: balance_move
-- Add to the sides of one balance (held, settled, presumed, id), only where it has come to no more than the last says.
UPDATE balance SET held = held + ?1, settled = settled + ?2, presumed = presumed + ?3
WHERE id = ?4 AND settled + presumed + held <= ?5;

-- name: balance_hold
-- Hold more in one balance (held, id), only where it has come to no more than the last says.
UPDATE balance SET held = held + ?1 WHERE id = ?2 AND settled + presumed + held <= ?3;

-- name: balance_move_all
-- Add to the sides of some balances (each once), as `balance_move` does.
UPDATE balance SET held = held + new.column1, settled = settled + new.column2, presumed = presumed + new.column3
FROM (VALUES :rows) AS new
WHERE balance.id = new.column4 AND settled + presumed + held <= new.column5;

-- name: balance_budget
-- Tell the unit that a balance counts, and its budget.
SELECT budget.unit, budget.id FROM balance JOIN budget ON budget.id = balance.budget_id WHERE balance.id = :id;

-- name: balance_line
-- Tell the line of a balance by its budget's definition; what is no longer in force limits nothing.
SELECT budget.name, budget.identity, balance.scope, balance.starts_ns, balance.ends_ns, budget.unit,
       CASE WHEN budget.is_active THEN budget.limit_amount ELSE 9223372036854775807 END
FROM balance JOIN budget ON budget.id = balance.budget_id WHERE balance.id = :id;

-- name: balance_list
-- List the balances of a tenant.
SELECT budget.name, budget.identity, balance.scope, balance.starts_ns, balance.ends_ns, budget.unit,
       balance.settled, balance.presumed, balance.held
FROM balance JOIN budget ON budget.id = balance.budget_id
WHERE budget.tenant = :tenant AND balance.ends_ns > :after_ns AND budget.unit <> 'calls'
ORDER BY budget.name, balance.starts_ns, balance.scope, budget.unit;

-- name: balance_of
-- Read one balance of a tenant by its budget's identity, its window, its scope and its unit.
SELECT balance.settled, balance.presumed, balance.held
FROM balance JOIN budget ON budget.id = balance.budget_id
WHERE budget.tenant = :tenant AND budget.identity = :identity AND budget.unit = :unit
  AND balance.starts_ns = :starts_ns AND balance.scope = :scope;

-- name: balance_all
-- List every balance, for verify; a run's counts are none.
SELECT balance.id, budget.name, balance.scope, balance.starts_ns, budget.unit,
       balance.settled, balance.presumed, balance.held
FROM balance JOIN budget ON budget.id = balance.budget_id WHERE budget.unit <> 'calls';

-- name: hold_insert
-- Open some holds whose ids no call has had.
INSERT INTO open_hold (id, tenant, process, opened_ns, balances, asked, fixed_pico, output_pico, cover_input, choices,
                       tokens, labels, run)
SELECT * FROM (VALUES :rows) AS new WHERE NOT EXISTS (SELECT 1 FROM ended_hold WHERE ended_hold.id = new.column1);

-- name: hold_insert_one
-- Open one hold, as `hold_insert` does.
INSERT INTO open_hold (id, tenant, process, opened_ns, balances, asked, fixed_pico, output_pico, cover_input, choices,
                       tokens, labels, run)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
WHERE NOT EXISTS (SELECT 1 FROM ended_hold WHERE ended_hold.id = ?1);

-- name: hold_insert_new
-- Open a hold whose id was just made: it is looked for among the open ones alone.
INSERT INTO open_hold (id, tenant, process, opened_ns, balances, asked, fixed_pico, output_pico, cover_input, choices,
                       tokens, labels, run)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13);

-- name: hold_insert_slice
-- Open a hold for some calls to come, as `hold_insert_new` does.
INSERT INTO open_hold (id, tenant, process, opened_ns, balances, asked, fixed_pico, output_pico, cover_input, choices,
                       tokens, labels, run, attempts)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14);

-- name: hold_find
-- Read what the life of a hold needs.
SELECT state, fixed_pico, output_pico, cover_input, choices, tokens, attempts, cost_nano, input_tokens, cached_tokens,
       cache_write_tokens, output_tokens, reasoning_tokens, requests, balances, tenant, run, flags, price, note
FROM hold WHERE id = :id;

-- name: hold_asked
-- Read what was asked when a hold was opened, for a retry with its id.
SELECT state, tokens, balances, tenant, labels, fixed_pico, output_pico, cover_input, choices, asked
FROM hold WHERE id = :id;

-- name: hold_extend
-- Cover more tokens, or another attempt.
UPDATE open_hold SET tokens = :tokens, attempts = :attempts WHERE id = :id;

-- name: hold_end
-- Record what became of an open hold. Its row is taken away then (`hold_gone`).
INSERT INTO ended_hold (id, tenant, process, state, opened_ns, closed_ns, balances, asked, fixed_pico, output_pico,
                        cover_input, choices, tokens, attempts, cost_nano, input_tokens, cached_tokens,
                        cache_write_tokens, output_tokens, reasoning_tokens, requests, flags, price, labels, note, run)
SELECT id, tenant, process, ?2, opened_ns, ?3, balances, asked, fixed_pico, output_pico, cover_input, choices, tokens,
       attempts, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, labels, ?13, run
FROM open_hold WHERE id = ?1;

-- name: hold_end_all
-- Record what became of some open holds, as `hold_end` does.
INSERT INTO ended_hold (id, tenant, process, state, opened_ns, closed_ns, balances, asked, fixed_pico, output_pico,
                        cover_input, choices, tokens, attempts, cost_nano, input_tokens, cached_tokens,
                        cache_write_tokens, output_tokens, reasoning_tokens, requests, flags, price, labels, note, run)
SELECT id, tenant, process, new.column2, opened_ns, new.column3, balances, asked, fixed_pico, output_pico, cover_input,
       choices, tokens, attempts, new.column4, new.column5, new.column6, new.column7, new.column8, new.column9,
       new.column10, new.column11, new.column12, labels, new.column13, run
FROM (VALUES :rows) AS new JOIN open_hold ON open_hold.id = new.column1;

-- name: hold_gone
-- Take away the row of an open hold that has ended.
DELETE FROM open_hold WHERE id = ?1;

-- name: hold_gone_all
-- Take away the rows of some, as `hold_gone` does.
DELETE FROM open_hold WHERE id IN (VALUES :rows);

-- name: hold_closed
-- Tell when a hold ended that has.
SELECT closed_ns FROM ended_hold WHERE id = :id;

-- name: hold_change
-- Record what became of a hold that had ended already.
UPDATE ended_hold
SET state = ?2, closed_ns = ?3, cost_nano = ?4, input_tokens = ?5, cached_tokens = ?6, cache_write_tokens = ?7,
    output_tokens = ?8, reasoning_tokens = ?9, requests = ?10, flags = ?11, price = ?12, note = ?13
WHERE id = ?1;

-- name: hold_lines
-- Count a hold against further balances, when a budget begins in the middle of its window.
UPDATE ended_hold SET balances = :balances WHERE id = :id;

-- name: hold_lines_open
-- The same of one that is open.
UPDATE open_hold SET balances = :balances WHERE id = :id;

-- name: hold_open_of
-- List some open holds of a process.
SELECT id FROM open_hold WHERE process = :process LIMIT :most;

-- name: hold_since
-- Read the calls of a time after a given one, for a budget that begins in the middle of its window. Those of every
-- tenant: how many rows this looks at must not depend on how few of them are a tenant's.
SELECT opened_ns, id, tenant, labels, balances, state, fixed_pico, output_pico, cover_input, choices, tokens, attempts,
       cost_nano, input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, requests
FROM hold
WHERE opened_ns >= :after_ns AND (opened_ns, id) > (:after_ns, :after_id) AND opened_ns < :ends_ns
ORDER BY opened_ns, id LIMIT :most;

-- name: hold_latest
-- Tell the latest instant that the ledger knows, so that its clock never runs back.
SELECT max(coalesce((SELECT max(opened_ns) FROM ended_hold), 0),
           coalesce((SELECT max(opened_ns) FROM open_hold), 0));

-- name: hold_tenants
-- List the tenants that have calls.
SELECT DISTINCT tenant FROM hold ORDER BY tenant;

-- name: hold_row
-- Read one call whole.
SELECT id, tenant, process, state, opened_ns, closed_ns, labels, fixed_pico, output_pico, cover_input, choices, tokens,
       attempts, cost_nano, input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, requests,
       flags, price, note
FROM hold WHERE id = :id AND tenant = :tenant;

-- name: hold_list
-- List the calls of a tenant in some states, the latest first, only those before an instant and an id.
SELECT id, tenant, process, state, opened_ns, closed_ns, labels, fixed_pico, output_pico, cover_input, choices, tokens,
       attempts, cost_nano, input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, requests,
       flags, price, note
FROM hold WHERE tenant = :tenant AND state IN (SELECT value FROM json_each(:states))
AND opened_ns <= :before_ns AND (opened_ns, id) < (:before_ns, :before_id)
ORDER BY opened_ns DESC, id DESC LIMIT :most;

-- name: hold_latest_settled
-- List the latest settled calls of all tenants, the latest first, for what a restart must not forget.
SELECT id, tenant, process, state, opened_ns, closed_ns, labels, fixed_pico, output_pico, cover_input, choices, tokens,
       attempts, cost_nano, input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, requests,
       flags, price, note
FROM ended_hold WHERE state = 1
ORDER BY opened_ns DESC, id DESC LIMIT :most;

-- name: hold_open_list
-- List the calls in flight of a tenant, the oldest first.
SELECT id, tenant, process, 0, opened_ns, 0, labels, fixed_pico, output_pico, cover_input, choices, tokens, attempts,
       0, 0, 0, 0, 0, 0, 0, 0, '', ''
FROM open_hold WHERE tenant = :tenant
ORDER BY opened_ns, id LIMIT :most;

-- name: hold_ended
-- List the calls of a tenant that ended in a time, the latest first. `closed_ns > 0` names the index and comes last:
-- SQLite bounds the range by what stands first.
SELECT id, tenant, process, state, opened_ns, closed_ns, labels, fixed_pico, output_pico, cover_input, choices, tokens,
       attempts, cost_nano, input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, requests,
       flags, price, note
FROM ended_hold
WHERE closed_ns >= :since_ns AND closed_ns < :until_ns AND closed_ns > 0 AND tenant = :tenant
ORDER BY closed_ns DESC, id DESC LIMIT :most;

-- name: hold_of_run
-- List the calls of a tenant whose labels hold a needle, opened in a time, the first first.
SELECT id, tenant, process, state, opened_ns, closed_ns, labels, fixed_pico, output_pico, cover_input, choices, tokens,
       attempts, cost_nano, input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, requests,
       flags, price, note
FROM hold
WHERE opened_ns >= :since_ns AND opened_ns < :until_ns AND tenant = :tenant AND instr(labels, :needle) > 0
ORDER BY opened_ns, id LIMIT :most;

-- name: hold_open_all
-- Read what every open hold sets aside, for verify.
SELECT fixed_pico, output_pico, cover_input, choices, tokens, attempts, balances FROM open_hold;

-- name: response_insert
-- Remember which call (id, response) a response came from; the first word counts.
INSERT OR IGNORE INTO response (tenant, id, hold_id) SELECT tenant, ?2, id FROM ended_hold WHERE id = ?1;

-- name: response_find
-- Read the call of a tenant's response.
SELECT ended.id, ended.tenant, process, state, opened_ns, closed_ns, labels, fixed_pico, output_pico, cover_input,
       choices, tokens, attempts, cost_nano, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
       reasoning_tokens, requests, flags, price, note
FROM response JOIN ended_hold AS ended ON ended.id = response.hold_id WHERE response.tenant = :tenant AND response.id = :id;

-- name: entry_insert
-- Add some immutable rows to the ledger.
INSERT INTO entry (hold_id, book, recorded_ns, cost_nano, input_tokens, cached_tokens, cache_write_tokens,
                   output_tokens, reasoning_tokens, requests, flags, price)
VALUES :rows;

-- name: entry_fold
-- Read every entry with the balances it counts against, for verify.
SELECT entry.book, entry.cost_nano, entry.input_tokens, entry.cached_tokens, entry.cache_write_tokens,
       entry.output_tokens, entry.reasoning_tokens, entry.requests, ended.balances
FROM entry LEFT JOIN ended_hold AS ended ON ended.id = entry.hold_id;

-- name: spend_read
-- Read the settled and presumed calls of a time, with their labels; a needle leaves out most that do not match. A slice
-- that was withdrawn is no call.
SELECT labels, state, fixed_pico, output_pico, cover_input, choices, tokens, attempts, cost_nano, input_tokens,
       cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, requests
FROM ended_hold
WHERE opened_ns >= :since_ns AND opened_ns < :until_ns AND tenant = :tenant AND state IN (1, 3)
      AND (:needle = '' OR instr(labels, :needle) > 0) AND (requests > 0 OR state = 3 OR instr(id, '~') = 0);

-- name: process_beat
-- Keep the heartbeat of a process.
INSERT INTO process (id, beat_ns) VALUES (:id, :beat_ns)
ON CONFLICT (id) DO UPDATE SET beat_ns = max(beat_ns, excluded.beat_ns);

-- name: process_list
-- List the processes that may own open holds, those that left holds behind included.
SELECT id, beat_ns FROM process
UNION
SELECT DISTINCT process, 0 FROM open_hold WHERE process NOT IN (SELECT id FROM process);

-- name: process_delete
-- Forget a process.
DELETE FROM process WHERE id = :id;
