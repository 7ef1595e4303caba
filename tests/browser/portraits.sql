-- What the pictures of the documentation show: twelve nodes that report every half an hour, and one cookbook that was broken.
INSERT INTO runs (run_id, organization, node_name, status, start_time, end_time, run_list, total_res_count,
                  updated_res_count, data, started_by, ended_by, client_version, policy_name, policy_group)
SELECT md5('run ' || node || ' ' || nth)::uuid, 'ponyville', 'web' || lpad(node::text, 2, '0') || '.example.com',
       CASE WHEN broken THEN 'failure' ELSE 'success' END, at, at + interval '47 seconds',
       '["recipe[apache2::default]","role[base]"]', 164, CASE WHEN nth % 5 = 0 THEN 3 ELSE 0 END,
       CASE WHEN broken THEN json_build_object('exception', json_build_object(
           'class', 'Errno::ENOENT', 'message', 'No such file or directory @ rb_sysopen - /etc/apache2/mods-enabled/ssl.conf',
           'backtrace', json_build_array('/var/chef/cache/cookbooks/apache2/recipes/default.rb:41:in `from_file'''))) ELSE '{}' END,
       'reports', 'reports', '18.3.0', 'web', 'production'
FROM (SELECT node, nth, now() - nth * interval '30 minutes' - node * interval '140 seconds' AS at,
             nth < 3 AND node IN (3, 7, 8) OR (nth, node) IN ((9, 5), (21, 11)) AS broken
      FROM generate_series(1, 12) AS node, generate_series(0, 47) AS nth) AS made;
INSERT INTO nodes (organization, name, run_id, status, start_time, end_time, client_version, policy_name, policy_group,
                   environment, last_seen)
SELECT DISTINCT ON (node_name) organization, node_name, run_id, status, start_time, end_time, client_version, policy_name,
       policy_group, 'production', end_time FROM runs ORDER BY node_name, start_time DESC;
INSERT INTO run_resources (run_id, start_time, position, type, name, resource_id, duration_ms, delta, result, status,
                           cookbook_name, cookbook_version)
SELECT run_id, start_time, 0, 'template', '/etc/apache2/apache2.conf', '/etc/apache2/apache2.conf', 84,
       '--- /etc/apache2/apache2.conf' || chr(10) || '+++ rendered' || chr(10) || '@@ -11,2 +11,2 @@' || chr(10) ||
       ' Timeout 300' || chr(10) || '-KeepAlive Off' || chr(10) || '+KeepAlive On', 'create', 'updated', 'apache2', '4.1.0'
FROM runs WHERE status = 'failure';
WITH made AS (
    SELECT md5('action ' || n)::uuid AS id, now() - n * interval '17 minutes' AS at, n FROM generate_series(1, 40) AS n
), taken AS (INSERT INTO action_ids SELECT id, at FROM made)
INSERT INTO actions (id, recorded_at, organization_name, entity_type, entity_name, parent_type, parent_name, task,
                     requestor_type, requestor_name, remote_hostname, request_id, service_hostname, user_agent,
                     message_type, message_version, data)
SELECT id, at, 'ponyville', CASE n % 4 WHEN 1 THEN 'version' WHEN 2 THEN 'item' WHEN 3 THEN 'role' ELSE 'node' END,
       CASE n % 4 WHEN 1 THEN '4.' || 1 - n / 20 || '.0' WHEN 2 THEN 'alice' WHEN 3 THEN 'base' ELSE 'web' || n END,
       CASE n % 4 WHEN 1 THEN 'cookbook' WHEN 2 THEN 'bag' END, CASE n % 4 WHEN 1 THEN 'apache2' WHEN 2 THEN 'users' END,
       CASE WHEN n % 8 = 1 THEN 'create' ELSE 'update' END, 'user',
       (ARRAY['rarity', 'spike', 'applejack'])[1 + n % 3], '10.0.0.' || n, 'r', 'chef.example.com', 'Chef Knife/18.3.0',
       'action', '0.1.1', '{}'
FROM made;
-- The last hour as a supervisor and a shim wrote it down: a chef-client storm that the workers caught up with.
INSERT INTO samples (minute, host, process, said)
SELECT at, 'chef-ingest-1', 'consume /run/chef-ingest', json_build_object(
           'backlog', CASE WHEN ago BETWEEN 24 AND 34 THEN 40 * (11 - abs(ago - 29) * 2) ELSE ago % 3 END,
           'letters', CASE WHEN ago > 30 THEN 0 ELSE least(7, (30 - ago) / 3) END,
           'outcomes', json_build_object('stored', (120 + 40 * sin(ago / 4.0)
               + CASE WHEN ago BETWEEN 24 AND 34 THEN 260 ELSE 0 END)::int),
           'ages', CASE WHEN ago BETWEEN 24 AND 34 THEN '{"1": 150, "4": 180, "9": 60}'::json ELSE '{"0": 110, "1": 8}' END)
FROM (SELECT ago, date_trunc('minute', now()) - ago * interval '1 minute' AS at FROM generate_series(0, 59) AS ago) AS hour
UNION ALL
SELECT date_trunc('minute', now()) - ago * interval '1 minute', 'chef-ingest-1', 'serve 127.0.0.1:8080',
       json_build_object('requests', 120, 'refused', CASE WHEN ago = 29 THEN 4 WHEN ago = 30 THEN 9 ELSE 0 END)
FROM generate_series(0, 59) AS ago;
