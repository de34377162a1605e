-- The queries of what was set. Every one has a name, one line of purpose, and bound parameters.

-- name: control_find
-- Read what one document shows.
SELECT shown FROM control WHERE kind = :kind AND tenant = :tenant AND name = :name;

-- name: control_put
-- Set a document.
INSERT INTO control (kind, tenant, name, body, shown, changed_ns)
VALUES (:kind, :tenant, :name, :body, :shown, :changed_ns)
ON CONFLICT (kind, tenant, name)
DO UPDATE SET body = excluded.body, shown = excluded.shown, changed_ns = excluded.changed_ns;

-- name: control_remove
-- Remove a document.
DELETE FROM control WHERE kind = :kind AND tenant = :tenant AND name = :name;

-- name: control_list
-- Read all documents, or those of one kind.
SELECT kind, tenant, name, body, shown, changed_ns FROM control
WHERE :kind IS NULL OR kind = :kind
ORDER BY kind, tenant, name;

-- name: control_version
-- Tell the number of the last change.
SELECT coalesce(max(seq), 0) FROM audit;

-- name: audit_add
-- Record one change.
INSERT INTO audit (at_ns, tenant, actor, action, kind, name, before, after)
VALUES (:at_ns, :tenant, :actor, :action, :kind, :name, :before, :after);

-- name: audit_list
-- Read the latest changes of all tenants.
SELECT seq, at_ns, tenant, actor, action, kind, name, before, after FROM audit
WHERE seq < :before_seq ORDER BY seq DESC LIMIT :most;

-- name: audit_list_of
-- Read the latest changes of one tenant.
SELECT seq, at_ns, tenant, actor, action, kind, name, before, after FROM audit
WHERE tenant = :tenant AND seq < :before_seq ORDER BY seq DESC LIMIT :most;
