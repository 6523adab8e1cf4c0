// Files: uploaded, listed page by page, read, deleted; and the errors on the way.

import OpenAI, { toFile } from 'openai';
import { check, client, equal } from './common.mjs';

const api = client();
const words = '0123456789'.repeat(1000);
const text = (content, name) => toFile(Buffer.from(content), name);

const file = await api.files.create({ file: await text(words, 'notes.txt'), purpose: 'user_data' });
equal([file.object, file.bytes, file.filename, file.purpose], ['file', 10_000, 'notes.txt', 'user_data'], 'another file');
equal((await api.files.retrieve(file.id)).id, file.id, 'the file is another when it is read again');
equal(await (await api.files.content(file.id)).text(), words, 'the bytes are not those that were sent');
const part = await api.files.content(file.id, { headers: { range: 'bytes=5-9' } });
equal([part.status, await part.text()], [206, '56789'], 'a part is another');

const short = await api.files.create({
  file: await text('short', 'short.jsonl'),
  purpose: 'batch',
  expires_after: { anchor: 'created_at', seconds: 3600 },
});
equal(short.expires_at - short.created_at, 3600, 'its life was lost');

const more = [];
for (const at of [0, 1, 2, 3]) {
  more.unshift(await api.files.create({ file: await text('x', `${at}.txt`), purpose: 'user_data' }));
}
const listed = [];
for await (const one of api.files.list({ limit: 2, purpose: 'user_data' })) listed.push(one.id);
const wanted = [...more, file].map((one) => one.id);
equal(listed.slice(0, wanted.length), wanted, 'pages do not add up to the list');

const gone = await api.files.delete(file.id);
check(gone.deleted && gone.id === file.id, 'it was not deleted', gone);
for (const use of ['retrieve', 'content', 'delete']) {
  const error = await api.files[use](file.id).catch((error) => error);
  check(error instanceof OpenAI.NotFoundError, `${use} of a deleted file went well`, error);
  equal(error.code, 'not_found', 'another error was due');
}
const error = await api.files.create({ file: await text('x', 'x'), purpose: 'fun' }).catch((error) => error);
check(error instanceof OpenAI.BadRequestError, 'a purpose that there is not was taken', error);
equal([error.code, error.param], ['invalid_value', 'purpose'], 'the error does not name the field');
for (const one of [short, ...more]) await api.files.delete(one.id);
