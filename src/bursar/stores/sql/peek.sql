-- What a status line reads, in as few steps as it can. Each query has a name and a line of purpose.

-- name: peek_zones
-- List the time zones of the budgets in force.
SELECT DISTINCT json_extract(identity, '$[3][1]') FROM budget WHERE tenant = :tenant AND is_active;

-- name: peek_spent
-- Sum the calls since an instant whose labels contain a text: those that are settled, and those that are presumed.
SELECT count(*), coalesce(sum(CASE state WHEN 1 THEN cost_nano
                                         ELSE (attempts * fixed_pico + tokens * output_pico + 999) / 1000 END), 0)
FROM ended_hold
WHERE opened_ns >= :since_ns AND tenant = :tenant AND state IN (1, 3) AND (:needle = '' OR instr(labels, :needle) > 0);

-- name: peek_lately
-- Sum the calls that have ended since an instant.
SELECT coalesce(sum(CASE state WHEN 1 THEN cost_nano WHEN 3
                    THEN (attempts * fixed_pico + tokens * output_pico + 999) / 1000 ELSE 0 END), 0)
FROM ended_hold WHERE closed_ns >= :since_ns AND closed_ns > 0 AND tenant = :tenant;

-- name: peek_in_flight
-- Count the open calls, and sum what is held, also what is set aside for calls to come.
SELECT count(*) - coalesce(sum(instr(id, '~') > 0), 0), coalesce(sum((attempts * fixed_pico + tokens * output_pico + 999) / 1000), 0)
FROM open_hold WHERE tenant = :tenant;

-- name: peek_fullest
-- Find the fullest standing of the budgets in force, or of the one that is named.
SELECT budget.name, balance.scope, budget.unit, balance.settled + balance.presumed, balance.held, budget.limit_amount
FROM balance JOIN budget ON budget.id = balance.budget_id
WHERE budget.tenant = :tenant AND budget.is_active AND (:budget = '' OR budget.name = :budget)
      AND balance.starts_ns <= :at_ns AND balance.ends_ns > :at_ns
ORDER BY CASE WHEN budget.limit_amount THEN (balance.settled + balance.presumed) * 100 / budget.limit_amount
              ELSE 100 END DESC,
         balance.settled + balance.presumed DESC, budget.name, balance.scope
LIMIT 1;
