// Whole answers: text, usage, limits, roles, and the headers that say who answered.

import { MODEL, WORKER, ask, check, client, equal } from './common.mjs';

const api = client();
const question = { model: MODEL, messages: ask('Say something.'), temperature: 0.2, seed: 7 };

const { data: answer, response } = await api.chat.completions
  .create(question, { headers: { 'x-request-id': 'mine-1' } })
  .withResponse();
const [choice] = answer.choices;
check(choice.message.content, 'the answer has no text', answer);
equal(choice.message.role, 'assistant', 'the role is wrong');
equal(choice.finish_reason, 'stop', 'the finish reason is wrong');
check(answer.usage.prompt_tokens > 0 && answer.usage.completion_tokens > 0, 'the usage is missing', answer.usage);
equal(response.headers.get('x-request-id'), 'mine-1', 'the request id is not ours');
equal(response.headers.get('x-lobstah-worker'), WORKER, 'somebody else answered');
equal(response.headers.get('x-lobstah-attempts'), '1', 'it took several tries');
equal(response.headers.has('x-lobstah-receipt'), WORKER !== 'local', 'a receipt comes from a worker, and from nobody else');

const again = await api.chat.completions.create(question);
equal(again.choices[0].message.content, choice.message.content, 'the same question got another answer');

// The engine knows only the older name of the limit, and would ignore this one.
const short = await api.chat.completions.create({ model: MODEL, messages: ask('Say a lot.'), max_completion_tokens: 7 });
equal(short.usage.completion_tokens, 7, 'max_completion_tokens was lost');
equal(short.choices[0].finish_reason, 'length', 'the finish reason does not tell of the limit');

const picture = { type: 'image_url', image_url: { url: 'data:image/png;base64,' + 'iVBORw0KGgo'.repeat(10_000) } };
const talk = await api.chat.completions.create({
  model: MODEL,
  messages: [
    { role: 'developer', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'What is this?' }, picture] },
    { role: 'assistant', content: 'A picture.' },
    { role: 'user', content: 'Of what?' },
  ],
});
check(talk.choices[0].message.content, 'a talk with a picture got no answer', talk);

const old = await api.completions.create({ model: MODEL, prompt: 'Once upon a time', max_tokens: 5 });
check(old.choices[0].text, 'the older endpoint gave no text', old);
equal(old.usage.completion_tokens, 5, 'the older endpoint lost max_tokens');
