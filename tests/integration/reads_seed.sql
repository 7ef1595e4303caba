-- What the tests of reads find: three months of actions and one of runs, many of one time.
SELECT ingest_make_partitions('2025-09-01', 3);

INSERT INTO action_ids VALUES ('b576b4a2-7b2a-43b8-b385-d6281e9a139e', '1976-10-02T05:00:37Z');
INSERT INTO actions (id, recorded_at, organization_name, entity_type, entity_name, task, requestor_type, requestor_name,
                     remote_hostname, request_id, service_hostname, user_agent, message_type, message_version, data)
VALUES ('b576b4a2-7b2a-43b8-b385-d6281e9a139e', '1976-10-02T05:00:37Z', NULL, 'node', 'app1', 'delete', 'user', 'rarity',
        '127.0.0.1', 'r', '127.0.0.1', 'a', 'action', '0.1.1',
        '{"name": "app1", "name": "twice", "big": 123456789012345678901234567890, "nul": "\u0000"}');

WITH made AS (
    -- Four of each second, from November back into September.
    SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id,
           timestamptz '2025-11-03T00:00:00Z' - (n / 4) * interval '4 days' AS recorded_at,
           n
    FROM generate_series(1, 61) AS n
    UNION ALL
    SELECT '00000000-0000-4000-8000-0000000000f1', '2025-11-03T00:00:00Z', 0
), taken AS (
    INSERT INTO action_ids SELECT id, recorded_at FROM made
)
INSERT INTO actions (id, recorded_at, organization_name, entity_type, entity_name, task, requestor_type, requestor_name,
                     remote_hostname, request_id, service_hostname, user_agent, message_type, message_version, data)
SELECT id, recorded_at, CASE n WHEN 0 THEN 'umbrella' ELSE 'acme' END, 'node', 'app ' || n % 3, 'update', 'client', 'web1',
       '10.0.0.1', 'r', 'chef.example.com', 'knife, "quoted"', 'action', '0.1.1', CASE WHEN n % 2 = 0 THEN json '{"a": 1}' END
FROM made;

INSERT INTO runs (run_id, organization, node_name, status, start_time, end_time, run_list, total_res_count,
                  updated_res_count, data)
VALUES ('562c4230-1569-4003-a81f-8c0100231d65', 'acme', 'web1', 'success', '2025-11-21T19:32:49Z', '2025-11-21T19:33:00Z',
        '["role[a]"]', 20, 15, '{}');
INSERT INTO run_resources (run_id, start_time, position, type, name, resource_id, duration_ms, before, delta, result)
SELECT '562c4230-1569-4003-a81f-8c0100231d65', '2025-11-21T19:32:49Z', n, 'file', '/etc/' || n, 'id', 12, '{"a": null}',
       '+' || n, 'create'
FROM generate_series(14, 0, -1) AS n;

-- Three of each second, of two nodes.
INSERT INTO runs (run_id, organization, node_name, status, start_time, end_time, run_list, total_res_count,
                  updated_res_count, data)
SELECT ('00000000-1111-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'acme', 'web' || 1 + n % 2,
       CASE WHEN n % 5 = 0 THEN 'failure' ELSE 'success' END,
       timestamptz '2025-11-20T00:00:00Z' - (n / 3) * interval '30 minutes',
       timestamptz '2025-11-20T00:00:00Z' - (n / 3) * interval '30 minutes' + n * interval '1 second', '[]', 1, 0, '{}'
FROM generate_series(1, 40) AS n;
INSERT INTO runs (run_id, organization, node_name, start_time)
VALUES ('11111111-1569-4003-a81f-8c0100231d65', 'acme', 'web1', '2025-11-10T00:00:00Z'),
       ('22222222-1569-4003-a81f-8c0100231d65', 'acme', 'web3', now() - interval '1 hour'),
       ('33333333-1569-4003-a81f-8c0100231d65', 'umbrella', 'web1', '2025-11-20T00:00:00Z');
