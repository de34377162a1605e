-- Runs and the holds that they count as in flight. Each query has a name and a line of purpose.

-- name: run_find
-- Read one run.
SELECT tenant, run, began_ns, state, since_ns, last_ns, steps, tool_calls, in_flight, parent, depth, children, guard,
       reason, outcome, figure, extras, prefix
FROM run WHERE tenant = :tenant AND run = :run;

-- name: run_latest
-- Read the run that was inferred last from a conversation's beginning.
SELECT tenant, run, began_ns, state, since_ns, last_ns, steps, tool_calls, in_flight, parent, depth, children, guard,
       reason, outcome, figure, extras, prefix
FROM run WHERE tenant = :tenant AND prefix = :prefix AND prefix <> '' ORDER BY began_ns DESC LIMIT 1;

-- name: run_list
-- List runs of a tenant in some states that did something since an instant, the latest first.
SELECT tenant, run, began_ns, state, since_ns, last_ns, steps, tool_calls, in_flight, parent, depth, children, guard,
       reason, outcome, figure, extras, prefix
FROM run WHERE tenant = :tenant AND last_ns >= :since_ns AND state IN (SELECT value FROM json_each(:states))
ORDER BY last_ns DESC, run LIMIT :most;

-- name: run_put
-- Write one run as it is now.
INSERT INTO run (tenant, run, began_ns, state, since_ns, last_ns, steps, tool_calls, in_flight, parent, depth, children,
                 guard, reason, outcome, figure, extras, prefix)
VALUES (:tenant, :run, :began_ns, :state, :since_ns, :last_ns, :steps, :tool_calls, :in_flight, :parent, :depth,
        :children, :guard, :reason, :outcome, :figure, :extras, :prefix)
ON CONFLICT (tenant, run) DO UPDATE
SET state = excluded.state, since_ns = excluded.since_ns, last_ns = excluded.last_ns, steps = excluded.steps,
    tool_calls = excluded.tool_calls, in_flight = excluded.in_flight, children = excluded.children,
    guard = excluded.guard, reason = excluded.reason, outcome = excluded.outcome, figure = excluded.figure,
    extras = excluded.extras;

-- name: run_count
-- Write the counts of a run (tenant, run, last_ns, steps, tool_calls, in_flight, each as it was, and the state): only
-- over what was read, and decided on.
UPDATE run SET last_ns = ?3, steps = ?4, tool_calls = ?5, in_flight = ?6
WHERE tenant = ?1 AND run = ?2 AND last_ns = ?7 AND steps = ?8 AND tool_calls = ?9 AND in_flight = ?10
      AND state = ?11;
