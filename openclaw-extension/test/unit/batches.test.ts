import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BATCH, chat, HEALTHY } from "./chat.js";

test("batches are listed, looked at and cancelled", async (t) => {
  const done = { ...BATCH, status: "completed", output_file_id: "file-2", request_counts: { total: 1, completed: 1, failed: 0 } };
  const { say, fake } = await chat(t, {
    ...HEALTHY,
    "GET /v1/batches/batch_1": done,
    "POST /v1/batches/batch_1/cancel": { ...BATCH, status: "cancelling" },
  });
  assert.equal(await say("batch"), "Batches (1)\n• in progress, 12 of 40 done, 1 failed: batch_1");
  assert.equal(await say("batch status"), await say("batch"));
  const answers = `answers: ${fake.url}/v1/files/file-2/content`;
  assert.equal(await say("batch status batch_1"), `Batch completed, 1 of 1 done\n• batch_1\n• ${answers}`);
  assert.match(await say("batch cancel batch_1"), /^Batch cancelling.*\n• batch_1$/);
});

test("a batch that failed says what is wrong with its file", async (t) => {
  const errors = ["line 1", "line 2", "line 3", "line 4"].map((at) => ({ message: `${at}: \`method\` must be POST` }));
  const failed = { ...BATCH, status: "failed", request_counts: { total: 0, completed: 0, failed: 0 }, errors: { data: errors } };
  const { say } = await chat(t, { ...HEALTHY, "GET /v1/batches/batch_1": failed });
  const line = (at: number) => `• line ${at}: \`method\` must be POST\n`;
  assert.equal(await say("batch status batch_1"), `Batch failed\n• batch_1\n${line(1)}${line(2)}${line(3)}• and 1 more`);
});

test("a batch is started from a file, sent as OpenAI's clients send it", async (t) => {
  const { say, fake, home } = await chat(t, {
    ...HEALTHY,
    "POST /v1/files": { id: "file-1", object: "file" },
    "POST /v1/batches": { ...BATCH, status: "validating" },
  });
  const path = join(home, "two requests.jsonl");
  const lines = '{"custom_id":"1","method":"POST","url":"/v1/embeddings","body":{}}\n{"custom_id":"2"}\n';
  writeFileSync(path, lines);
  assert.match(await say(`batch run ${path}`), /^Batch validating.*\n• batch_1$/);

  const [upload, create] = fake.asked;
  const boundary = /^multipart\/form-data; boundary=(\S+)$/.exec(upload?.type ?? "")?.[1];
  const parts = upload?.body.split(`--${boundary}`) ?? [];
  assert.match(parts[1] ?? "", /name="purpose"\r\n\r\nbatch\r\n$/);
  assert.match(parts[2] ?? "", /name="file"; filename="two requests\.jsonl"/);
  assert.ok(parts[2]?.endsWith(`\r\n\r\n${lines}\r\n`));
  assert.equal(parts[3], "--\r\n");
  const asked = { input_file_id: "file-1", endpoint: "/v1/embeddings", completion_window: "24h" };
  assert.deepEqual(JSON.parse(create?.body ?? ""), asked);
});

test("what is no batch file is not sent", async (t) => {
  const { say, fake, home } = await chat(t);
  writeFileSync(join(home, "notes.txt"), "hello\n");
  assert.match(await say(`batch run ${join(home, "notes.txt")}`), /is no batch file: its first line is no JSON object/);
  assert.match(await say(`batch run ${join(home, "missing")}`), /cannot be read \(ENOENT\)/);
  assert.match(await say(`batch run ${home}`), /cannot be read \(EISDIR\)/);
  assert.deepEqual(fake.asked, []);
});
