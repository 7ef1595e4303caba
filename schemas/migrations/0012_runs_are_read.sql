-- outside a transaction: each statement by itself, with workers writing all the while; interrupted, it is begun anew.
-- Runs are listed by organization, and by node; nobody asks for them by time alone.
DROP INDEX CONCURRENTLY IF EXISTS runs_organization_node_name;
CREATE INDEX CONCURRENTLY runs_organization_node_name
    ON runs (left(organization, 255), left(node_name, 255), start_time, run_id);
DROP INDEX CONCURRENTLY IF EXISTS runs_organization;
CREATE INDEX CONCURRENTLY runs_organization ON runs (left(organization, 255), start_time, run_id);
DROP INDEX CONCURRENTLY IF EXISTS runs_start_time;
-- An end that finds room beside its start touches no index: it would cost more than the two indexes do.
ALTER TABLE runs SET (fillfactor = 50);
