-- What the tests of lookups and console find beside reads_seed.sql: hostile names, failures, nodes, letters.
INSERT INTO runs (run_id, organization, node_name, status, start_time, end_time, run_list, data, started_by, ended_by, policy_name)
SELECT ('00000000-2222-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, CASE WHEN n % 2 = 0 THEN 'acme' ELSE 'umbrella' END,
       'db' || n % 3, 'failure', now() - n * interval '7 minutes', now() - n * interval '7 minutes' + interval '9 seconds',
       '["recipe[apache2::default]","role[base]"]',
       json_build_object('exception', json_build_object(
           'class', CASE WHEN n % 4 = 0 THEN 'Errno::ENOENT' ELSE 'Mixlib::ShellOut::ShellCommandFailed' END,
           'message', CASE WHEN n % 4 = 0 THEN 'No such file or directory @ rb_sysopen - /etc/app/' || n || '.conf'
                           ELSE 'Expected process to exit with [0], but received ''' || n || '''' END,
           'backtrace', json_build_array('/a.rb:' || n))), 'reports', 'reports', 'web'
FROM generate_series(1, 12) AS n;
INSERT INTO runs (run_id, organization, node_name, status, start_time, end_time, data, run_list, started_by)
VALUES ('bad00000-2222-4000-8000-000000000001', 'acme', '<script>alert(1)</script>' || chr(8238) || 'evil', 'failure',
        now() - interval '20 minutes', now() - interval '19 minutes',
        '{"exception": {"class": "<b>", "message": "\u0000 <img src=x onerror=alert(1)>", "backtrace": [1, null]}}', '"', NULL);
INSERT INTO run_resources (run_id, start_time, position, type, name, resource_id, duration_ms, delta, result, status, error, before)
SELECT run_id, start_time, 0, 'template', '/etc/<i>', 'x', 1500,
       '--- /etc/a' || chr(10) || '+++ /etc/b' || chr(10) || '@@ -1 +1 @@' || chr(10) || '-old <b>' || chr(10) || '+new' || chr(8238),
       'create', 'failed', '{"message": "<script>"}', '{"a": 1}'
FROM runs WHERE run_id::text LIKE '%-2222-%';

INSERT INTO actions (id, recorded_at, organization_name, entity_type, entity_name, parent_type, parent_name, task, requestor_type,
                     requestor_name, remote_hostname, remote_request_id, request_id, service_hostname, user_agent, message_type, data)
SELECT v.id::uuid, now() - v.ago::interval, v.organization, v.type, v.name, v.parent_type, v.parent, v.task, 'user', v.who, '10.0.0.1',
       v.request, 'r', 'chef.example.com', 'knife', 'action', v.data::json
FROM (VALUES
    ('aaaa0000-0000-4000-8000-000000000001', '40 minutes', 'acme', 'version', '2.0.1', 'cookbook', 'apache2', 'create', 'rarity', NULL, NULL),
    ('aaaa0000-0000-4000-8000-000000000002', '50 minutes', 'acme', 'bag', 'unrelated', NULL, NULL, 'update', 'spike', NULL, '{"x": "<script>"}'),
    ('aaaa0000-0000-4000-8000-000000000003', '21 minutes', 'acme', 'node', 'db2', NULL, NULL, 'update', 'db2',
     '00000000-2222-4000-8000-000000000002', NULL),
    ('aaaa0000-0000-4000-8000-000000000004', '30 minutes', NULL, 'user', '<script>alert(2)</script>', NULL, NULL, 'create', 'pivotal', NULL,
     '{"n": "\u0000\u202e"}')
) AS v (id, ago, organization, type, name, parent_type, parent, task, who, request, data);
INSERT INTO action_ids SELECT id, recorded_at FROM actions WHERE id::text LIKE 'aaaa%';
INSERT INTO tallies (counted_at, outcome, rule, count) VALUES (now() - interval '20 minutes', 'during_run', 'run_id', 17);

INSERT INTO nodes (organization, name, run_id, status, start_time, end_time, client_version, policy_name, policy_group, last_seen)
VALUES ('acme', 'here', NULL, 'success', now() - interval '1 hour', now(), '18.3.0', 'web', 'prod', now() - interval '1 minute'),
       ('acme', 'gone <b>', NULL, 'started', now() - interval '9 days', NULL, '12.8.1', NULL, NULL, now() - interval '9 days');
