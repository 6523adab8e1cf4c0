// What the scripts share. Each talks to OPENAI_BASE_URL and ends with 1 and a message if a promise is broken.

import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import OpenAI from 'openai';

/** As the practice engine names it, which stands in for Ollama. */
export const MODEL = 'practice:8b';
export const EMBEDDER = 'practice-embed:latest';
/** Ids hold slashes and colons. */
export const LONG_NAME = 'hf.co/team/practice:Q4_K_M';
/** Who is to answer: `local`, or the key of the worker behind the gateway. */
export const WORKER = process.env.EXPECTED_WORKER ?? 'local';

/** Address and key come from the environment, as with any tool. */
export const client = (settings = {}) => new OpenAI(settings);

export const ask = (words) => [{ role: 'user', content: words }];

export function check(condition, broken, ...seen) {
  if (condition) return;
  for (const one of seen) console.error(' ', one);
  console.error(`${path.basename(process.argv[1])}: ${broken}`);
  process.exit(1);
}

export function equal(one, other, broken) {
  check(isDeepStrictEqual(one, other), broken, one, other);
}

/** Everything that a stream gives. */
export async function all(stream) {
  const chunks = [];
  for await (const chunk of await stream) chunks.push(chunk);
  return chunks;
}
