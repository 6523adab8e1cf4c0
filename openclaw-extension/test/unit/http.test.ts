import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Gateway } from "../../src/gateway.js";
import { ask, NoAnswer, Refused, request, type Door } from "../../src/http.js";
import { Fake, nobody, No } from "./fakes.js";

const tcp = (url: string): Door & { kind: "tcp" } => ({ kind: "tcp", base: new URL(url) });

test("a no says what the gateway said", async (t) => {
  const fake = await Fake.gateway(t, { "GET /balance": new No(401, "invalid_api_key", "send one of gateway.api_keys") });
  await assert.rejects(ask(tcp(fake.url), "/balance"), (error: Refused) => {
    assert.deepEqual([error.status, error.code, error.message], [401, "invalid_api_key", "send one of gateway.api_keys"]);
    return true;
  });
});

test("nobody is not the same as a no", async () => {
  await assert.rejects(ask(tcp(`http://${await nobody()}`), "/readyz"), (error) => {
    assert.ok(error instanceof NoAnswer);
    assert.equal(error.message, "nobody answers");
    return true;
  });
});

test("who accepts and says nothing is given up", async (t) => {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const silent = request(tcp(`http://127.0.0.1:${port}`), "/readyz", { timeoutMs: 50 });
  await assert.rejects(silent, { name: "NoAnswer", message: "no answer in time" });
});

test("an answer without end is not kept", async (t) => {
  const fake = await Fake.gateway(t, { "GET /peers": `["${"x".repeat(17 * 1024 * 1024)}"]` });
  await assert.rejects(ask(tcp(fake.url), "/peers"), /more than 16777216 bytes/);
});

test("a key goes to the gateway as a bearer token, and none where there is none", async (t) => {
  const fake = await Fake.gateway(t);
  await ask({ ...tcp(fake.url), apiKey: "sk-1" }, "/readyz");
  await ask(tcp(fake.url), "/readyz");
  assert.deepEqual(fake.asked.map((one) => one.authorization), ["Bearer sk-1", undefined]);
});

test("another program on the gateway's port is known for what it is", async (t) => {
  const gateway = await Fake.gateway(t);
  const other = await Fake.gateway(t, { "GET /readyz": "<html>hello</html>" });
  assert.deepEqual(await new Gateway(tcp(gateway.url)).presence(), { kind: "ready" });
  assert.deepEqual(await new Gateway(tcp(other.url)).presence(), { kind: "other" });
  assert.equal((await new Gateway(tcp(`http://${await nobody()}`)).presence()).kind, "nobody");
});
