// Embeddings: as the SDK asks for them by itself (base64), and as numbers.

import { EMBEDDER, WORKER, check, client, equal } from './common.mjs';

const api = client();
const input = ['a lobster', 'a trap'];

const packed = await api.embeddings.create({ model: EMBEDDER, input });
const plain = await api.embeddings.create({ model: EMBEDDER, input, encoding_format: 'float' });
equal(packed.data.map((one) => one.index), [0, 1], 'the order is not that of the input');
check(packed.usage.prompt_tokens > 0, 'the usage is missing', packed.usage);
packed.data.forEach(({ embedding }, at) => {
  const other = plain.data[at].embedding;
  equal(embedding.length, other.length, 'the two forms differ in length');
  const far = Math.max(...Array.from(embedding, (number, place) => Math.abs(number - other[place])));
  check(far < 1e-6, 'the two forms differ', far);
});
check(plain.data[0].embedding.join() !== plain.data[1].embedding.join(), 'two texts have one vector');

const { data: single, response } = await api.embeddings
  .create({ model: EMBEDDER, input: input[0], dimensions: 64 })
  .withResponse();
equal(single.data[0].embedding.length, 64, 'dimensions was lost');
equal(response.headers.get('x-lobstah-worker'), WORKER, 'somebody else answered');
