import assert from "node:assert/strict";
import { test } from "node:test";
import { provider } from "../../src/provider.js";
import { settings } from "../../src/settings.js";
import { Fake, No, nobody } from "./fakes.js";

const MODELS = {
  object: "list",
  data: [
    { id: "llama3.1:8b", object: "model", created: 1, owned_by: "local", context_length: 131072 },
    { id: "llama3.2:latest", object: "model", created: 1, owned_by: "lobstah:mini" },
    { id: "nomic-embed-text:latest", object: "model", created: 1, owned_by: "local" },
    { object: "model" },
  ],
};

const at = (baseUrl: string, apiKey?: string) => provider(settings({ baseUrl, ...(apiKey && { apiKey }) }, {}), {});

test("the live catalog is what the gateway lists now, with the context that it knows", async (t) => {
  const fake = await Fake.gateway(t, { "GET /v1/models": MODELS });
  const found = await at(fake.url).catalog.run({ config: {} });
  assert.equal(found?.provider.baseUrl, `${fake.url}/v1`);
  assert.deepEqual(
    found?.provider.models.map((row) => [row.id, row.contextWindow, row.maxTokens]),
    [["llama3.1:8b", 131072, 8192], ["llama3.2:latest", 32768, 8192]],
  );
  assert.equal(found?.provider.apiKey, undefined);
});

test("a key that the gateway wants is sent, and stays in the catalog", async (t) => {
  const fake = await Fake.gateway(t, { "GET /v1/models": MODELS });
  const found = await at(fake.url, "sk-1").catalog.run({ config: {} });
  assert.equal(fake.asked.at(-1)?.authorization, "Bearer sk-1");
  assert.equal(found?.provider.apiKey, "sk-1");
});

test("a key of the environment stays there", async (t) => {
  const fake = await Fake.gateway(t, { "GET /v1/models": MODELS });
  const env = { LOBSTAH_API_KEY: "sk-env" };
  const found = await provider(settings({ baseUrl: fake.url }, env), env).catalog.run({ config: {} });
  assert.equal(fake.asked.at(-1)?.authorization, "Bearer sk-env");
  assert.equal(found?.provider.apiKey, "LOBSTAH_API_KEY");
});

test("without a gateway there is no live catalog, and no error", async () => {
  assert.equal(await at(await nobody()).catalog.run({ config: {} }), null);
});

test("the static catalog is what onboarding wrote, and asks nobody", async (t) => {
  const fake = await Fake.gateway(t);
  const lobstah = { baseUrl: `${fake.url}/v1`, models: [{ id: "llama3.1:8b", contextWindow: 4096 }] };
  const found = await at(fake.url).staticCatalog.run({ config: { models: { providers: { lobstah } } } });
  assert.deepEqual(found?.provider.models.map((row) => [row.id, row.contextWindow]), [["llama3.1:8b", 4096]]);
  assert.deepEqual(fake.asked, []);
  assert.equal(await at(fake.url).staticCatalog.run({ config: {} }), null);
});

test("a model that stands in no list works if the gateway has it", async (t) => {
  const fake = await Fake.gateway(t, { "GET /v1/models": MODELS });
  const lobstah = at(fake.url);
  const found = await lobstah.prepareDynamicModel({ modelId: "llama3.2" });
  assert.deepEqual([found?.id, found?.provider, found?.api], ["llama3.2", "lobstah", "openai-completions"]);
  assert.equal(lobstah.resolveDynamicModel({ modelId: "llama3.1:8b" })?.contextWindow, 131072);
});

test("a model that the gateway has not is refused with what to do", async (t) => {
  const fake = await Fake.gateway(t, { "GET /v1/models": MODELS });
  const lobstah = at(fake.url);
  const refused = /^Error: Unknown model: lobstah\/qwen3:32b\. The gateway at .* has llama3\.1:8b/;
  await assert.rejects(lobstah.prepareDynamicModel({ modelId: "qwen3:32b" }), refused);
  assert.equal(lobstah.resolveDynamicModel({ modelId: "qwen3:32b" }), undefined);
  const hint = lobstah.buildUnknownModelHint({ modelId: "qwen3:32b" });
  assert.match(hint, /has llama3\.1:8b, llama3\.2:latest/);
  assert.match(hint, /`ollama pull qwen3:32b`/);
});

test("while no gateway was asked any name may be right", async () => {
  const place = await nobody();
  const lobstah = at(place);
  assert.equal(await lobstah.prepareDynamicModel({ modelId: "any:1b" }), undefined);
  assert.equal(lobstah.resolveDynamicModel({ modelId: "any:1b" })?.baseUrl, `http://${place}/v1`);
  assert.match(lobstah.buildUnknownModelHint({ modelId: "any:1b" }), /start one with `lobstah up`/);
});

test("a gateway that refuses the key is not taken for one without models", async (t) => {
  const fake = await Fake.gateway(t, { "GET /v1/models": new No(401, "invalid_api_key", "send a key") });
  const lobstah = at(fake.url);
  assert.equal(await lobstah.catalog.run({ config: {} }), null);
  assert.ok(lobstah.resolveDynamicModel({ modelId: "any:1b" }));
});

test("the gateway's errors are not taken for something else", () => {
  const { classifyFailoverReason: reason } = at("127.0.0.1:1");
  assert.equal(reason({ errorMessage: "404", code: "model_not_found" }), "model_not_found");
  assert.equal(reason({ errorMessage: "429 worker_busy: all are busy" }), "overloaded");
  assert.equal(reason({ errorMessage: "the worker went away", code: "upstream_lost" }), undefined);
});
