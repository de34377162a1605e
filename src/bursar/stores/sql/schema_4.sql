-- The ledger, version 4: a hold says by itself which run counts it. It had a row of its own for that, which every call of
-- a run wrote and took away again.

-- The run that counts the call as in flight while it is open; "" where no guard looked at runs.
ALTER TABLE hold ADD COLUMN run TEXT NOT NULL DEFAULT '';

UPDATE hold SET run = (SELECT run_hold.run FROM run_hold WHERE run_hold.hold_id = hold.id)
WHERE id IN (SELECT hold_id FROM run_hold);

DROP TABLE run_hold;
