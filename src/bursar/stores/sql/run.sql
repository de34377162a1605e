-- Runs and the holds that they count as in flight. Each query has a name and a line of purpose.

-- name: run_find
-- Read one run.
SELECT tenant, run, began_ns, state, since_ns, last_ns, settled + held, presumed, held, parent, depth, children, guard,
       reason, outcome, figure, extras, prefix, counts
FROM run JOIN balance ON balance.id = counts WHERE tenant = :tenant AND run = :run;

-- name: run_latest
-- Read the run that was inferred last from a conversation's beginning.
SELECT tenant, run, began_ns, state, since_ns, last_ns, settled + held, presumed, held, parent, depth, children, guard,
       reason, outcome, figure, extras, prefix, counts
FROM run JOIN balance ON balance.id = counts WHERE tenant = :tenant AND prefix = :prefix AND prefix <> '' ORDER BY began_ns DESC LIMIT 1;

-- name: run_list
-- List runs of a tenant in some states that did something since an instant, the latest first.
SELECT tenant, run, began_ns, state, since_ns, last_ns, settled + held, presumed, held, parent, depth, children, guard,
       reason, outcome, figure, extras, prefix, counts
FROM run JOIN balance ON balance.id = counts WHERE tenant = :tenant AND last_ns >= :since_ns AND state IN (SELECT value FROM json_each(:states))
ORDER BY last_ns DESC, run LIMIT :most;

-- name: run_put
-- Write one run as it is now, but for its counts.
INSERT INTO run (tenant, run, began_ns, state, since_ns, last_ns, parent, depth, children, guard, reason, outcome, figure,
                 extras, prefix, counts)
VALUES (:tenant, :run, :began_ns, :state, :since_ns, :last_ns, :parent, :depth, :children, :guard, :reason, :outcome,
        :figure, :extras, :prefix, :counts)
ON CONFLICT (tenant, run) DO UPDATE
SET state = excluded.state, since_ns = excluded.since_ns, last_ns = excluded.last_ns, children = excluded.children,
    guard = excluded.guard, reason = excluded.reason, outcome = excluded.outcome, figure = excluded.figure,
    extras = excluded.extras;

-- name: run_budget
-- Open what the counts of a tenant's runs stand under.
INSERT INTO budget (tenant, identity, unit, name, limit_amount, is_active) VALUES (:tenant, 'run', 'calls', '', 0, 0)
ON CONFLICT (tenant, identity, unit) DO NOTHING;

-- name: run_counts
-- Find where the counts of a run stand.
SELECT counts FROM run WHERE tenant = :tenant AND run = :run;

-- name: run_counts_new
-- Open a place for the counts of a run.
INSERT INTO balance (budget_id, starts_ns, ends_ns, scope)
SELECT id, 0, 0, :run FROM budget WHERE tenant = :tenant AND identity = 'run' AND unit = 'calls';

-- name: run_counts_put
-- Write the counts of a run.
UPDATE balance SET settled = :settled, presumed = :presumed, held = :held WHERE id = :id;

-- name: run_count
-- Write other counts of a run (its place; steps but for those in flight, tool calls, calls in flight, each as it was):
-- only over what was read, and decided on.
UPDATE balance SET settled = ?2, presumed = ?3, held = ?4
WHERE id = ?1 AND settled = ?5 AND presumed = ?6 AND held = ?7;

-- name: run_last
-- Write when a run last did something (tenant, run, the instant, as it was, and the state): as `run_count` does.
UPDATE run SET last_ns = ?3 WHERE tenant = ?1 AND run = ?2 AND last_ns = ?4 AND state = ?5;
