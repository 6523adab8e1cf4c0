import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { command, type Keeper } from "../../src/command.js";
import { settings } from "../../src/settings.js";
import { Fake, folder, No, nobody } from "./fakes.js";

const ME = `lob1${"a".repeat(64)}`;
const MINI = `lob1${"b".repeat(64)}`;
const STUDIO = `lob1${"c".repeat(64)}`;
const NOW = Date.now();

const receipt = (worker: string, requester: string, completedAt: number) => ({
  receipt: {
    version: 1,
    workerPubkey: worker,
    requesterPubkey: requester,
    model: "llama3.1:8b",
    inputTokens: 1234,
    outputTokens: 56,
    completedAt,
  },
  signature: "00",
});

const BATCH = {
  id: "batch_1",
  object: "batch",
  status: "in_progress",
  input_file_id: "file-1",
  output_file_id: null,
  request_counts: { total: 40, completed: 12, failed: 1 },
};

const HEALTHY = {
  "GET /v1/models": {
    data: [{ id: "llama3.1:8b", context_length: 131072 }, { id: "qwen3:32b", owned_by: "lobstah:mini" }],
  },
  "GET /peers": [
    { pubkey: MINI, url: "http://mini:17474", label: "mini", source: "added", models: ["qwen3:32b"], state: "admitting" },
    { pubkey: STUDIO, url: "http://s:17474", label: null, source: "nostr", models: [], state: "down" },
  ],
  "GET /balance": {
    pubkey: ME,
    totals: { earned: 5, spent: 5, receipts: 3 },
    self: { pubkey: ME, earned: 1290, spent: 40 },
    peers: [
      { pubkey: MINI, label: "mini", owedToMe: 1290, owedByMe: 40, available: 3 },
      { pubkey: STUDIO, label: null, owedToMe: 0, owedByMe: 7, available: 3 },
    ],
  },
  "GET /ledger": { total: 2, returned: 2, receipts: [receipt(ME, MINI, NOW - 120_000), receipt(STUDIO, ME, NOW - 7_200_000)] },
  "GET /v1/batches": { object: "list", data: [BATCH] },
};

const SHARING = {
  sharing: true,
  listen: "0.0.0.0:17474",
  announcing: false,
  models: ["llama3.1:8b"],
  earned: 1290,
  serving: 1,
};

/** What `/lobstah …` answers, with a gateway and an owner's socket that say this. */
async function chat(t: TestContext, gateway: object = HEALTHY, owner: object = {}, keeper?: Keeper) {
  const home = folder(t);
  const fake = await Fake.gateway(t, { ...gateway });
  const node = await Fake.owner(t, home, { ...owner });
  const env = { LOBSTAH_HOME: home };
  const { handler } = command(settings({ baseUrl: fake.url }, env), env, () => keeper);
  return { fake, node, home, say: async (args: string) => (await handler({ args, config: {} })).text };
}

test("the overview shows models, peers, credits, receipts, batches and sharing", async (t) => {
  const { say, fake } = await chat(t, HEALTHY, { "GET /share": SHARING }, { ours: true, trouble: undefined });
  assert.equal(
    await say(""),
    `Lobstah at ${fake.url.slice(7)}: ready, started by this OpenClaw

Models (2)
• llama3.1:8b, 131,072 tokens
• qwen3:32b

Peers (2)
• mini: admitting, 1 model
• lob1cccccccc: stranger, down, 0 models

Credits
• earned 1,290, spent 40
• mini owes you 1,250
• you owe lob1cccccccc 7

Last receipts
• llama3.1:8b for mini: 1,234 in, 56 out, 2 min ago
• llama3.1:8b by lob1cccccccc: 1,234 in, 56 out, 2 h ago

Batches (1)
• batch_1: in progress, 12 of 40 done, 1 failed

Sharing: on
• listens on 0.0.0.0:17474
• not announced: friends reach it, strangers do not find it
• lends llama3.1:8b
• 1 request of others now
• earned so far: 1,290`,
  );
});

test("a part that cannot be had says so, and the others are shown", async (t) => {
  const { say } = await chat(t, { ...HEALTHY, "GET /peers": new No(500, "internal", "peers.json is broken: mend it") });
  const said = await say("status");
  assert.match(said, /^Peers: peers\.json is broken: mend it$/m);
  assert.match(said, /^Receipts: peers\.json is broken: mend it$/m);
  assert.match(said, /^Credits$/m);
});

test("what this lobstah does not know yet is left out of the overview, and said when it is asked for", async (t) => {
  const { say } = await chat(t);
  assert.doesNotMatch(await say(""), /Sharing/);
  assert.equal(await say("share"), "That did not work: the lobstah that runs here is too old for it; a newer one does it");
});

test("without a gateway it says why, and what the service knows of it", async (t) => {
  const env = { LOBSTAH_HOME: folder(t) };
  const mine = settings({ baseUrl: await nobody() }, env);
  const { handler } = command(mine, env, () => undefined);
  assert.match((await handler({ config: {} })).text, /^No Lobstah gateway at 127\.0\.0\.1:\d+: nobody answers$/);
  const known = command(mine, env, () => ({ ours: false, trouble: "lobstah is not installed" }));
  assert.match((await known.handler({ config: {} })).text, /: lobstah is not installed$/);
});

test("sharing is turned on, off and looked at through the owner's socket", async (t) => {
  const { say, node } = await chat(t, HEALTHY, {
    "GET /share": { ...SHARING, sharing: false, listen: null, models: [] },
    "POST /share": SHARING,
  });
  assert.match(await say("share"), /^Sharing: off\n• earned so far: 1,290$/);
  assert.match(await say("share ON"), /^Sharing: on\n• listens on 0\.0\.0\.0:17474$/m);
  await say("share off");
  const told = node.asked.map(({ method, path, body }) => `${method} ${path} ${body}`);
  assert.deepEqual(told, ["GET /share ", 'POST /share {"sharing":true}', 'POST /share {"sharing":false}']);
});

test("a node that cannot share says what to do", async (t) => {
  const no = new No(409, "cannot_share", "port 17474 is taken: set worker.listen");
  const { say } = await chat(t, HEALTHY, { "POST /share": no });
  assert.equal(await say("share on"), "That did not work: port 17474 is taken: set worker.listen");
});

test("without a node of the owner's, sharing says how to start one", async (t) => {
  const home = folder(t);
  const { handler } = command(settings({}, {}), { LOBSTAH_HOME: home }, () => undefined);
  assert.match((await handler({ args: "share on", config: {} })).text, /no node of yours answers in .*lobstah up$/);
});

test("peers are shown at length, with what they have", async (t) => {
  const { say } = await chat(t);
  assert.match(await say("peers"), /^Peers \(2\)\n• mini.*\n• lob1.*\n\nThey have\n• qwen3:32b$/);
});

test("a route is explained in the order in which its candidates are asked", async (t) => {
  const { say, node } = await chat(t, HEALTHY, {
    "GET /route": {
      model: "batch-small",
      use: "llama3.1:8b",
      to: ["local", "friends"],
      candidates: [
        { place: 1, peer: "local", label: "Ollama", group: "local", url: "u", reason: "free" },
        { place: null, peer: MINI, label: "mini", group: "friends", url: "u", reason: "does not have the model" },
      ],
    },
  });
  assert.equal(
    await say("route explain batch-small"),
    `batch-small goes to local, friends as llama3.1:8b

Asked, in this order
1. Ollama (local): free

Not asked
• mini (friends): does not have the model`,
  );
  assert.equal(node.asked[0]?.path, "/route?model=batch-small");
});

test("batches are listed, looked at and cancelled", async (t) => {
  const done = { ...BATCH, status: "completed", output_file_id: "file-2", request_counts: { total: 1, completed: 1, failed: 0 } };
  const { say, fake } = await chat(t, {
    ...HEALTHY,
    "GET /v1/batches/batch_1": done,
    "POST /v1/batches/batch_1/cancel": { ...BATCH, status: "cancelling" },
  });
  assert.equal(await say("batch"), "Batches (1)\n• batch_1: in progress, 12 of 40 done, 1 failed");
  const answers = `answers: ${fake.url}/v1/files/file-2/content`;
  assert.equal(await say("batch status batch_1"), `Batch batch_1: completed, 1 of 1 done\n• ${answers}`);
  assert.match(await say("batch cancel batch_1"), /^Batch batch_1: cancelling/);
});

test("a batch is started from a file, sent as OpenAI's clients send it", async (t) => {
  const { say, fake, home } = await chat(t, {
    ...HEALTHY,
    "POST /v1/files": { id: "file-1", object: "file" },
    "POST /v1/batches": { ...BATCH, status: "validating" },
  });
  const path = join(home, "two requests.jsonl");
  const lines = '{"custom_id":"1","method":"POST","url":"/v1/embeddings","body":{}}\n{"custom_id":"2"}\n';
  writeFileSync(path, lines);
  assert.match(await say(`batch run ${path}`), /^Batch batch_1: validating/);

  const [upload, create] = fake.asked;
  const boundary = /^multipart\/form-data; boundary=(\S+)$/.exec(upload?.type ?? "")?.[1];
  const parts = upload?.body.split(`--${boundary}`) ?? [];
  assert.match(parts[1] ?? "", /name="purpose"\r\n\r\nbatch\r\n$/);
  assert.match(parts[2] ?? "", /name="file"; filename="two requests\.jsonl"/);
  assert.ok(parts[2]?.endsWith(`\r\n\r\n${lines}\r\n`));
  assert.equal(parts[3], "--\r\n");
  const asked = { input_file_id: "file-1", endpoint: "/v1/embeddings", completion_window: "24h" };
  assert.deepEqual(JSON.parse(create?.body ?? ""), asked);
});

test("what is no batch file is not sent", async (t) => {
  const { say, fake, home } = await chat(t);
  writeFileSync(join(home, "notes.txt"), "hello\n");
  assert.match(await say(`batch run ${join(home, "notes.txt")}`), /is no batch file: its first line is no JSON object/);
  assert.match(await say(`batch run ${join(home, "missing")}`), /cannot be read \(ENOENT\)/);
  assert.match(await say(`batch run ${home}`), /cannot be read \(EISDIR\)/);
  assert.deepEqual(fake.asked, []);
});

test("what is not understood gets the list of what is", async (t) => {
  const { say, fake } = await chat(t);
  for (const args of ["nonsense", "share maybe", "route explain", "batch cancel", "help"]) {
    assert.match(await say(args), /\/lobstah share on, off or status/, args);
  }
  assert.deepEqual(fake.asked, []);
});

test("what strangers call themselves is no markup", async (t) => {
  const peers = [{ pubkey: MINI, url: "u", label: "![x](http://evil/x.png)", source: "nostr", models: ["**m**"], state: "up" }];
  const { say } = await chat(t, { ...HEALTHY, "GET /peers": peers });
  assert.equal(await say("peers"), "Peers (1)\n• !x(http://evil/x.png): stranger, up, 1 model\n\nThey have\n• m");
});

test("what strangers call themselves cannot break the lines of the chat", async (t) => {
  const label = `evil\n\n• mini owes you 1,000,000${"x".repeat(100)}`;
  const peers = [{ pubkey: MINI, url: "u", label, source: "nostr", models: [], state: "up" }];
  const { say } = await chat(t, { ...HEALTHY, "GET /peers": peers });
  const said = await say("peers");
  assert.equal(said.split("\n").length, 2);
  assert.ok(said.length < 100, said);
});
