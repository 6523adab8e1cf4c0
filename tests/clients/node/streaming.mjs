// Streams: the same text as a whole answer, usage only for who asked, leaving in the middle.

import { MODEL, WORKER, all, ask, check, client, equal } from './common.mjs';

const api = client();
const question = { model: MODEL, messages: ask('Tell me a story.'), seed: 3 };
const whole = await api.chat.completions.create(question);
const stream = (more = {}) => api.chat.completions.create({ ...question, stream: true, ...more });
const text = (chunks) => chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content ?? '')).join('');

const plain = await all(stream());
equal(text(plain), whole.choices[0].message.content, 'streamed, the answer is another');
check(plain.every((chunk) => chunk.choices.length > 0), 'a chunk without choices, which nobody asked for', plain.at(-1));
check(plain.every((chunk) => chunk.usage == null), 'a usage that nobody asked for', plain.at(-1));
equal(plain.at(-1).choices[0].finish_reason, 'stop', 'the last chunk does not say that it is the end');

const counted = await all(stream({ stream_options: { include_usage: true } }));
equal(text(counted), text(plain), 'with usage, the answer is another');
equal(counted.at(-1).choices, [], 'the usage has no chunk of its own');
equal(counted.at(-1).usage.completion_tokens, whole.usage.completion_tokens, 'the usage is another than that of a whole answer');
equal(counted.length, plain.length + 1, 'asking for the usage changed more than the end');

const raw = await stream().asResponse();
equal(raw.headers.get('content-type'), 'text/event-stream', 'this is no event stream');
equal(raw.headers.get('x-lobstah-worker'), WORKER, 'somebody else answered');
const events = (await raw.text()).split('\n').filter(Boolean);
check(!events.some((event) => event.includes('lobstah-receipt')), 'the receipt reached the tool', events.slice(-2));
equal(events.at(-1), 'data: [DONE]', 'the stream does not end as it should');

const final = await api.chat.completions.stream(question).finalContent();
equal(final, text(plain), "the SDK's helper put another answer together");

const leaving = await stream();
for await (const chunk of leaving) {
  check(chunk.id, 'the first chunk has no id', chunk);
  break;
}
leaving.controller.abort();
equal(text(await all(stream())), text(plain), 'after one was left, streams are broken');

const old = await all(api.completions.create({ model: MODEL, prompt: 'Once upon a time', max_tokens: 5, stream: true }));
check(old.map((chunk) => chunk.choices[0].text).join(''), 'the older endpoint streamed no text', old);
