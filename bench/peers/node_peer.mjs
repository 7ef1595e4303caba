// Peer: amqplib, ajv (draft-04) and pg: batches of 1000, one unnest insert and commit each, ack allUpTo.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The packages are where the benchmark installed them, not beside this file.
const require = createRequire(process.env.BENCH_NODE_HOME + "/");
const amqp = require("amqplib");
const Ajv = require("ajv-draft-04");
const pg = require("pg");

const { AMQP_URL, DATABASE_URL, BENCH_SCHEMA, BENCH_QUEUE } = process.env;
const PREFETCH = Number(process.env.BENCH_PREFETCH);
const BATCH = Number(process.env.BENCH_BATCH);
const IDLE_MS = 50;

const COLUMNS = [
  "id", "recorded_at", "organization_name", "entity_type", "entity_name", "parent_type", "parent_name",
  "task", "requestor_type", "requestor_name", "remote_hostname", "remote_request_id", "request_id",
  "service_hostname", "user_agent", "message_type", "message_version", "data",
];
const TYPES = { id: "uuid", recorded_at: "timestamptz", data: "json" };
const list = COLUMNS.join(", ");
const arrays = COLUMNS.map((name, i) => `$${i + 1}::${TYPES[name] ?? "text"}[]`).join(", ");
const STORE = {
  name: "store",
  text: `WITH sent AS (SELECT DISTINCT ON (id) * FROM unnest(${arrays}) AS t (${list}) ORDER BY id),
    fresh AS (INSERT INTO action_ids (id, recorded_at) SELECT id, recorded_at FROM sent
              ON CONFLICT (id) DO NOTHING RETURNING id)
    INSERT INTO actions (${list}) SELECT ${list} FROM sent JOIN fresh USING (id)`,
};

const validate = new Ajv({ strict: false, validateFormats: false }).compile(JSON.parse(readFileSync(BENCH_SCHEMA)));
const database = new pg.Client({ connectionString: DATABASE_URL });
await database.connect();
const connection = await amqp.connect(AMQP_URL);
const channel = await connection.createChannel();
await channel.prefetch(PREFETCH);

let waiting = [];
let committing = false;
let timer = null;

function value(message, name) {
  if (name === "data") return message.data === undefined ? null : JSON.stringify(message.data);
  return message[name] ?? null;
}

async function commit() {
  clearTimeout(timer);
  timer = null;
  if (committing || waiting.length === 0) return;
  committing = true;
  const batch = waiting.splice(0, BATCH);
  // A single statement is its own transaction: the promise resolves after its COMMIT.
  const values = COLUMNS.map((name) => batch.map(([message]) => value(message, name)));
  await database.query({ ...STORE, values });
  channel.ack(batch[batch.length - 1][1], true);
  committing = false;
  if (waiting.length >= BATCH) setImmediate(commit);
  else if (waiting.length > 0) timer = setTimeout(commit, IDLE_MS);
}

function onMessage(delivery) {
  const message = JSON.parse(delivery.content);
  if (!validate(message)) {
    channel.reject(delivery, false);
    return;
  }
  waiting.push([message, delivery]);
  if (waiting.length >= BATCH) void commit();
  else timer ??= setTimeout(commit, IDLE_MS);
}

process.on("unhandledRejection", (error) => {
  console.error(error);
  process.exit(1);
});
process.on("SIGTERM", () => process.exit(0));
await channel.consume(BENCH_QUEUE, onMessage);
