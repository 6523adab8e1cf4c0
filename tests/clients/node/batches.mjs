// Batches: created, listed, cancelled, and why one fails. `batches.mjs answered` waits for answers.

import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI, { toFile } from 'openai';
import { MODEL, ask, check, client, equal } from './common.mjs';

const api = client();
const PATIENCE_MS = 60_000;

const line = (custom_id, more = {}) => ({
  custom_id,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: MODEL, messages: ask(`Say ${custom_id}.`), max_tokens: 5, ...more },
});

async function create(lines, more = {}) {
  const text = lines.map((one) => `${JSON.stringify(one)}\n`).join('');
  const file = await api.files.create({ file: await toFile(Buffer.from(text), 'lines.jsonl'), purpose: 'batch' });
  const request = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h', ...more };
  return api.batches.create(request);
}

async function wait({ id }, state) {
  const deadline = Date.now() + PATIENCE_MS;
  let batch;
  while (Date.now() < deadline) {
    batch = await api.batches.retrieve(id);
    if (batch.status === state) return batch;
    await sleep(100);
  }
  check(false, `the batch never was ${state}`, batch);
}

async function results(id) {
  if (!id) return [];
  const text = await (await api.files.content(id)).text();
  return text.trimEnd().split('\n').map((one) => JSON.parse(one));
}

const names = (count) => Array.from({ length: count }, (_, at) => `line-${at}`);

const cases = {
  async created() {
    // So many that they are not all answered before the cancelling.
    let many = await create(names(5000).map((name) => line(name)), { metadata: { mine: 'x' } });
    equal([many.status, many.metadata], ['validating', { mine: 'x' }], 'another batch');
    many = await wait(many, 'in_progress');
    equal([many.request_counts.total, many.model], [5000, MODEL], 'its lines were read otherwise');
    await api.batches.cancel(many.id);
    many = await wait(many, 'cancelled');
    const { completed, failed } = many.request_counts;
    equal(completed + failed, 5000, 'a line is missing from the counts');
    const errors = await results(many.error_file_id);
    equal(errors.at(-1)?.error.code, 'batch_cancelled', 'the last line has another error, or none');
    const good = await results(many.output_file_id);
    equal(errors.length + good.length, 5000, 'a line is in neither file, or in both');

    const bad = await wait(await create([line('good'), line('streamed', { stream: true }), line('good')]), 'failed');
    equal(bad.errors.data.map((problem) => problem.line), [2, 3], 'not every problem is named');
    const error = await api.batches.cancel(bad.id).catch((error) => error);
    check(error instanceof OpenAI.ConflictError, 'what is over was cancelled', error);
    equal(error.code, 'not_cancellable', 'another error was due');

    const listed = [];
    for await (const one of api.batches.list({ limit: 1 })) listed.push(one.id);
    equal(listed.slice(0, 2), [bad.id, many.id], 'pages do not add up to the list');
  },

  async answered() {
    const wanted = names(20);
    const batch = await wait(await create(wanted.map((name) => line(name))), 'completed');
    equal([batch.request_counts.completed, batch.error_file_id ?? null], [20, null], 'not all were answered');
    const said = await results(batch.output_file_id);
    equal(said.map((one) => one.custom_id), wanted, 'the order is not that of the input');
    for (const { error, response } of said) {
      equal([error, response.status_code], [null, 200], 'a line has an error');
      check(response.body.choices[0].message.content, 'an answer has no text', response);
    }
    check(batch.usage.output_tokens > 0, 'the usage is missing', batch.usage);
  },
};

await cases[process.argv[2]]();
