// Tool calls: the whole round trip, and the same as a stream.

import { MODEL, all, ask, check, client, equal } from './common.mjs';

const api = client();
const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather in a town.',
    parameters: {
      type: 'object',
      properties: { town: { type: 'string' }, unit: { type: 'string', enum: ['celsius', 'fahrenheit'] } },
      required: ['town', 'unit'],
    },
  },
};
const question = { model: MODEL, messages: ask('What is the weather in Lisbon?'), tools: [weather] };

const first = await api.chat.completions.create(question);
equal(first.choices[0].finish_reason, 'tool_calls', 'no tool is called');
const { message } = first.choices[0];
const [call] = message.tool_calls;
equal(call.function.name, 'weather', 'another tool is called');
const given = JSON.parse(call.function.arguments);
const fits = typeof given.town === 'string' && ['celsius', 'fahrenheit'].includes(given.unit);
check(call.id && fits, 'the call does not fit the tool', call);

const result = { role: 'tool', tool_call_id: call.id, content: JSON.stringify({ degrees: 21 }) };
const second = await api.chat.completions.create({ ...question, messages: [...question.messages, message, result] });
equal(second.choices[0].finish_reason, 'stop', 'after the tool spoke there is no answer');
check(second.choices[0].message.content, 'after the tool spoke the answer is empty', second);

const choices = (await all(api.chat.completions.create({ ...question, stream: true }))).map((chunk) => chunk.choices[0]);
const parts = choices.flatMap((choice) => choice.delta.tool_calls ?? []);
equal(parts.map((part) => part.function.name ?? '').join(''), 'weather', 'streamed, another tool is called');
equal(choices.at(-1).finish_reason, 'tool_calls', 'streamed, the finish reason is another');
equal(JSON.parse(parts.map((part) => part.function.arguments ?? '').join('')), given, 'streamed, the arguments are others');

const none = await api.chat.completions.create({ ...question, tool_choice: 'none' });
equal(none.choices[0].finish_reason, 'stop', 'a tool is called though none may be');

// The SDK's own loop: it calls the function and asks again until there is an answer.
const runner = api.chat.completions.runTools({
  ...question,
  tools: [{ type: 'function', function: { ...weather.function, parse: JSON.parse, function: () => ({ degrees: 21 }) } }],
});
check(await runner.finalContent(), "the SDK's own loop ends without an answer");
