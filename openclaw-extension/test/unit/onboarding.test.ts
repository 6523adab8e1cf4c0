import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostConfig, ProviderConfig } from "../../src/host.js";
import { authMethod } from "../../src/onboarding.js";
import { settings } from "../../src/settings.js";
import { eventually, Fake, nobody, Program } from "./fakes.js";

const MODELS = {
  data: [
    { id: "nomic-embed-text:latest", owned_by: "local" },
    { id: "llama3.1:8b", owned_by: "local", context_length: 8192 },
    { id: "qwen3:32b", owned_by: "lobstah:mini" },
  ],
};

/** `openclaw onboard --non-interactive --auth-choice lobstah` */
async function onboard(config: HostConfig, own: object, env: NodeJS.ProcessEnv, opts: Record<string, unknown> = {}) {
  const said: string[] = [];
  const runtime = { error: (word: unknown) => said.push(String(word)), exit: (code: number) => said.push(`exit ${code}`) };
  const after = await authMethod(settings(own, env), env).runNonInteractive({ config, opts, runtime });
  return { after, said };
}

test("onboarding needs neither key nor question, and writes down what the grid has", async (t) => {
  const fake = await Fake.gateway(t, { "GET /v1/models": MODELS });
  const { after } = await onboard({}, { baseUrl: fake.url }, {});
  const lobstah = after?.models?.providers?.["lobstah"];
  assert.equal(lobstah?.baseUrl, `${fake.url}/v1`);
  assert.equal(lobstah?.apiKey, undefined);
  assert.deepEqual(lobstah?.models?.map((row) => row.id), ["llama3.1:8b", "qwen3:32b"]);
  assert.deepEqual(after?.agents?.defaults?.model, { primary: "lobstah/llama3.1:8b" });
});

test("what stood in the configuration stays", async (t) => {
  const fake = await Fake.gateway(t, { "GET /v1/models": MODELS });
  const before = {
    logging: { level: "info" },
    models: { mode: "merge", providers: { other: { baseUrl: "http://other" } } },
    agents: { defaults: { workspace: "/w", model: { primary: "other/x", fallbacks: ["other/y"] } } },
  };
  const { after } = await onboard(before, { baseUrl: fake.url }, {});
  assert.deepEqual(after, {
    ...before,
    models: { mode: "merge", providers: { ...before.models.providers, lobstah: after?.models?.providers?.["lobstah"] } },
    agents: { defaults: { workspace: "/w", model: { primary: "lobstah/llama3.1:8b", fallbacks: ["other/y"] } } },
  });
});

test("flags choose the model, the address and the key", async (t) => {
  const fake = await Fake.gateway(t, { "GET /v1/models": MODELS });
  const opts = { customBaseUrl: `${fake.url}/v1`, customApiKey: "sk-1", customModelId: "qwen3:32b" };
  const { after } = await onboard({}, {}, {}, opts);
  assert.equal(after?.models?.providers?.["lobstah"]?.apiKey, "sk-1");
  assert.deepEqual(after?.agents?.defaults?.model, { primary: "lobstah/qwen3:32b" });
  assert.equal(fake.asked.at(-1)?.authorization, "Bearer sk-1");
});

test("a key from the environment is written down by its name", async (t) => {
  const fake = await Fake.gateway(t, { "GET /v1/models": MODELS });
  const { after } = await onboard({}, { baseUrl: fake.url }, { LOBSTAH_API_KEY: "sk-env" });
  assert.equal(after?.models?.providers?.["lobstah"]?.apiKey, "${LOBSTAH_API_KEY}");
  assert.equal(fake.asked.at(-1)?.authorization, "Bearer sk-env");
});

test("where no gateway runs one is borrowed for the time of it", async (t) => {
  const program = new Program(t, await nobody());
  const { after, said } = await onboard({}, {}, program.env);
  assert.deepEqual(said, []);
  assert.deepEqual(after?.agents?.defaults?.model, { primary: "lobstah/llama3.2:1b" });
  const lobstah = after?.models?.providers?.["lobstah"] as Partial<ProviderConfig>;
  const healthUrl = `http://${program.listen}/readyz`;
  const command = program.path;
  assert.deepEqual(lobstah.localService, { command, args: ["up"], healthUrl, readyTimeoutMs: 30_000 });
  await eventually("it was stopped", () => program.diary.at(-1) === "stopped");
});

test("what is missing is said, and nothing is written", async (t) => {
  const empty = await Fake.gateway(t, { "GET /v1/models": { data: [] } });
  const full = await Fake.gateway(t, { "GET /v1/models": MODELS });
  const cases: [object, object, RegExp][] = [
    [{ baseUrl: empty.url }, {}, /no model that chats yet; get one with `ollama pull/],
    [{ baseUrl: full.url }, { customModelId: "gpt-5" }, /nobody on the grid has gpt-5; there are: nomic.*, llama3\.1:8b/],
    [{ baseUrl: await nobody(), binary: "/nowhere/lobstah" }, {}, /lobstah is not installed.*cargo install/],
  ];
  for (const [own, opts, why] of cases) {
    const { after, said } = await onboard({}, own, {}, { ...opts });
    assert.equal(after, null);
    assert.match(said[0] ?? "", why);
    assert.equal(said[1], "exit 1");
  }
});

test("the guided setup looks without starting anything, and prepares what was chosen", async (t) => {
  const fake = await Fake.gateway(t, { "GET /v1/models": MODELS });
  const guided = authMethod(settings({ baseUrl: fake.url }, {}), {}).appGuidedSetup;
  assert.equal(await guided.detectAvailability({ config: {} }), true);
  const found = await guided.detect({ config: {} });
  assert.equal(found?.modelRef, "lobstah/llama3.1:8b");
  const prepared = await guided.prepare({ config: {}, modelRef: "lobstah/qwen3:32b" });
  assert.equal(prepared?.defaultModel, "lobstah/qwen3:32b");

  const program = new Program(t, await nobody());
  const alone = authMethod(settings({}, program.env), program.env).appGuidedSetup;
  assert.equal(await alone.detectAvailability({ config: {} }), false);
  assert.equal(await alone.detect({ config: {} }), null);
  assert.deepEqual(program.diary, []);
});
