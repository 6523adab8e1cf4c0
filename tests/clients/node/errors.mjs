// Every error as the class that the SDK has for it, after as many requests as make sense.
//
// Which errors: `errors.mjs refused` needs nodes in good health; the other words need the trouble they name.

import OpenAI from 'openai';
import { MODEL, ask, check, client, equal } from './common.mjs';

/** Asks, and checks the error that comes of it. `requests` are all that the SDK made, retries included. */
async function raised(kind, status, code, requests, { body, headers, ...settings } = {}) {
  let made = 0;
  const counting = (url, init) => {
    made += 1;
    return fetch(url, init);
  };
  const api = client({ fetch: counting, ...settings });
  try {
    await api.chat.completions.create({ model: MODEL, messages: ask('Hello.'), ...body }, { headers });
  } catch (error) {
    check(error.constructor === kind, `${kind.name} was due`, error);
    equal([error.status, error.code], [status, code], 'another error was due');
    equal(made, requests, 'the SDK tried another number of times');
    check(error.error.message && error.error.type, 'the error says nothing', error.error);
    return error;
  }
  check(false, `${kind.name} was due and nothing was raised`);
}

const cases = {
  async refused() {
    await raised(OpenAI.BadRequestError, 400, 'invalid_value', 1, { body: { stream: 'yes' } });
    const field = await raised(OpenAI.BadRequestError, 400, 'invalid_value', 1, { body: { max_tokens: 'many' } });
    equal(field.param, 'max_tokens', 'the error does not name the field');
    await raised(OpenAI.AuthenticationError, 401, 'invalid_api_key', 1, { apiKey: 'sk-another' });
    const origin = { origin: 'https://evil.example' };
    await raised(OpenAI.PermissionDeniedError, 403, 'origin_not_allowed', 1, { headers: origin });
    const missing = await raised(OpenAI.NotFoundError, 404, 'model_not_found', 1, { body: { model: 'practice:80b' } });
    equal(missing.param, 'model', 'the error does not name the field');
    check(missing.message.includes(MODEL), 'the error does not name the near model', missing.message);
    const found = await client().models.retrieve('nobody/has:this').catch((error) => error);
    check(found instanceof OpenAI.NotFoundError, 'a model that nobody has was retrieved', found);
    equal(found.code, 'model_not_found', 'another error was due');
  },

  /** By itself the SDK repeats a 409; it is told that this would not help. */
  async conflict() {
    await raised(OpenAI.ConflictError, 409, null, 1);
  },

  async busy() {
    const error = await raised(OpenAI.RateLimitError, 429, 'worker_busy', 1, { maxRetries: 0 });
    check(Number(error.headers.get('retry-after')) >= 1, 'the error does not say when to come back');
  },

  /** A 502 is worth another try: the first request, and the SDK's two retries. */
  async failing() {
    const error = await raised(OpenAI.InternalServerError, 502, 'all_upstreams_failed', 3);
    check(error.error.attempts[0].reason, 'the error does not say who failed and how', error.error);
  },

  async nobody() {
    const error = await raised(OpenAI.InternalServerError, 503, 'no_upstream', 1, { maxRetries: 0 });
    check(Number(error.headers.get('retry-after')) >= 1, 'the error does not say when to come back');
  },

  /** A stream that breaks off raises, and does not end as if it were whole. */
  async broken() {
    const words = [];
    try {
      const stream = await client().chat.completions.create({ model: MODEL, messages: ask('Go on.'), stream: true });
      for await (const chunk of stream) words.push(chunk.choices[0].delta.content);
    } catch (error) {
      check(error.constructor === OpenAI.APIError, 'APIError was due', error);
      equal(error.code, 'upstream_lost', 'another error was due');
      equal(words.length, 5, 'not all that came before the break was delivered');
      return;
    }
    check(false, 'a stream that broke off ended as if it were whole', words);
  },
};

await cases[process.argv[2]]();
