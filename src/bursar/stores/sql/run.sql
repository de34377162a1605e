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

-- name: run_step
-- Count one call more in a run that is there.
UPDATE run SET steps = :steps, tool_calls = :tool_calls, in_flight = :in_flight WHERE tenant = :tenant AND run = :run;

-- name: run_left
-- Count a call that ended in its run no longer, as `left` in core/run.py does.
UPDATE run SET in_flight = max(0, in_flight - 1), steps = max(0, steps - :is_released),
               tool_calls = tool_calls + :tool_calls, last_ns = max(last_ns, :at_ns)
WHERE tenant = :tenant AND run = :run;

-- name: run_hold_insert
-- Count an open hold as in flight in its run.
INSERT INTO run_hold (hold_id, tenant, run) VALUES (:hold_id, :tenant, :run);

-- name: run_hold_any
-- Tell whether any open hold is counted in a run.
SELECT EXISTS (SELECT 1 FROM run_hold);

-- name: run_hold_take
-- Count a hold as in flight no longer, and name the run that did.
DELETE FROM run_hold WHERE hold_id = :hold_id RETURNING tenant, run;
