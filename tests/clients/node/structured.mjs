// Answers in JSON: any object, one that fits a schema, and one that the SDK puts together from a stream.

import { MODEL, ask, check, client, equal } from './common.mjs';

const api = client();
const content = (answer) => JSON.parse(answer.choices[0].message.content);

const free = await api.chat.completions.create({
  model: MODEL,
  messages: ask('JSON, please.'),
  response_format: { type: 'json_object' },
});
check(typeof content(free) === 'object', 'JSON mode gave no object', free);

const schema = {
  type: 'object',
  properties: { sum: { type: 'integer', minimum: 3, maximum: 3 }, why: { type: 'string' } },
  required: ['sum', 'why'],
  additionalProperties: false,
};
const question = {
  model: MODEL,
  messages: ask('1 + 2?'),
  response_format: { type: 'json_schema', json_schema: { name: 'sum', strict: true, schema } },
};
const strict = content(await api.chat.completions.create(question));
equal([strict.sum, Object.keys(strict).sort()], [3, ['sum', 'why']], 'the answer does not fit the schema');

const parsed = await api.chat.completions.parse(question);
equal(parsed.choices[0].message.parsed ?? content(parsed), strict, 'parsed, the answer is another');

const streamed = await api.chat.completions.stream(question).finalChatCompletion();
equal(content(streamed), strict, 'streamed, the answer is another');
