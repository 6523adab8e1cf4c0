// The list of models, and each by its id, slashes and colons included.

import { EMBEDDER, LONG_NAME, MODEL, all, check, client, equal } from './common.mjs';

const api = client();
const listed = new Map((await all(api.models.list())).map((model) => [model.id, model]));
for (const name of [MODEL, EMBEDDER, LONG_NAME]) {
  check(listed.has(name), 'a model is missing from the list', name, [...listed.keys()]);
  const model = await api.models.retrieve(name);
  equal([model.id, model.object], [name, 'model'], 'this is another model');
  equal(model.owned_by, listed.get(name).owned_by, 'list and model differ on the owner');
}
