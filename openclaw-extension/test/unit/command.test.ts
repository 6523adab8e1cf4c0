import assert from "node:assert/strict";
import { test } from "node:test";
import { command } from "../../src/command.js";
import { settings } from "../../src/settings.js";
import { BOOKS, chat, HEALTHY, MINI, SHARING } from "./chat.js";
import { folder, No, nobody, Program } from "./fakes.js";

test("the overview shows models, peers, credits, receipts, batches and sharing", async (t) => {
  const { say, fake } = await chat(t, HEALTHY, { "GET /share": SHARING, "GET /balance": BOOKS }, { ours: true, trouble: undefined });
  assert.equal(
    await say(""),
    `Lobstah at ${fake.url.slice(7)}: ready, started by this OpenClaw

Models (2)
• llama3.1:8b, 131,072 tokens
• qwen3:32b

Peers (2)
• mini: ready, 1 model
• lob1cccccccc: stranger, down, no model

Credits
• earned 1,290, spent 40
• mini owes you 1,250
• you owe lob1cccccccc 7

Last receipts
• llama3.1:8b for mini: 1,234 in, 56 out, 2 min ago
• llama3.1:8b by lob1cccccccc: 1,234 in, 56 out, 2 h ago

Batches (1)
• in progress, 12 of 40 done, 1 failed: batch_1

Sharing: on
• listens on 0.0.0.0:17474
• not announced: strangers do not find it
• lends llama3.1:8b
• 1 request of others now
• earned so far: 1,290 credits`,
  );
});

test("the books of another node than the gateway's are not mixed into it", async (t) => {
  const { say } = await chat(t, HEALTHY, { "GET /balance": { ...BOOKS, pubkey: MINI } });
  assert.match(await say(""), /^Credits\n• earned 1,290, spent 40\n\n/m);
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

test("without a gateway every question gets why, and what to do", async (t) => {
  const program = new Program(t, await nobody());
  const { handler } = command(settings({}, program.env), program.env, () => undefined);
  const say = async (args: string) => (await handler({ args, config: {} })).text;
  const at = program.listen.replaceAll(".", "\\.");
  assert.match(await say(""), new RegExp(`^No Lobstah gateway at ${at}\n• nobody answers; start one with: lobstah up$`));
  const asked = `^That did not work: no gateway answers at ${at} \\(nobody answers\\); start one with: lobstah up$`;
  for (const args of ["peers", "batch"]) assert.match(await say(args), new RegExp(asked), args);
  const owners = /^That did not work: no node of yours answers in .* \(nobody answers\); start one with: lobstah up$/;
  for (const args of ["share on", "route explain llama3.2"]) assert.match(await say(args), owners, args);
});

test("without the program every question gets how to install it", async (t) => {
  const env = { LOBSTAH_HOME: folder(t) };
  const { handler } = command(settings({ baseUrl: await nobody() }, env), env, () => undefined);
  for (const args of ["", "peers", "share on", "batch", "route explain llama3.2"]) {
    assert.match((await handler({ args, config: {} })).text, /lobstah is not installed\. .* run: cargo install/, args);
  }
});

test("what the service knows of a gateway that is missing is said first", async (t) => {
  const env = { LOBSTAH_HOME: folder(t) };
  const keeper = { ours: false, trouble: "peers.json is broken: mend it" };
  const { handler } = command(settings({ baseUrl: await nobody() }, env), env, () => keeper);
  assert.match((await handler({ config: {} })).text, /^No Lobstah gateway at .*\n• peers\.json is broken: mend it$/);
});

test("another program on the gateway's port is called that", async (t) => {
  const { say } = await chat(t, { "GET /readyz": "hello" });
  assert.match(await say(""), /\n• another program has its port; stop that, or set gateway\.listen/);
});

test("sharing is turned on, off and looked at through the owner's socket", async (t) => {
  const { say, node } = await chat(t, HEALTHY, {
    "GET /share": { ...SHARING, sharing: false, listen: null, models: [] },
    "POST /share": SHARING,
  });
  assert.match(await say("share"), /^Sharing: off\n• earned so far: 1,290 credits\n• \/lobstah share on begins$/);
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

test("a worker that only this machine reaches is told from one that others reach", async (t) => {
  const lonely = await chat(t, HEALTHY, { "GET /share": { ...SHARING, listen: "127.0.0.1:17474", models: [] } });
  const said = await lonely.say("share");
  assert.match(said, /^• only this machine reaches that: set worker\.listen in lobstah\.toml$/m);
  assert.match(said, /^• lends no model: is Ollama up/m);
  const open = await chat(t, HEALTHY, { "GET /share": { ...SHARING, announcing: true, listen: "[::]:17474" } });
  assert.match(await open.say("share"), /^• listens on \[::\]:17474\n• announced to the network$/m);
});

test("where there is nothing yet it says how to get it", async (t) => {
  const empty = { "GET /v1/models": { data: [] }, "GET /peers": [], "GET /v1/batches": { data: [] } };
  const { say } = await chat(t, { ...HEALTHY, ...empty });
  const said = await say("");
  assert.match(said, /^Models: none yet\n• get one with: ollama pull llama3\.2$/m);
  assert.match(said, /^Peers: none yet\n• add a friend: lobstah peers add KEY URL$/m);
  assert.match(said, /^Batches: none\n• start one: \/lobstah batch run FILE$/m);
});

test("of many peers the first are shown, friends before strangers, and the rest is counted", async (t) => {
  const peers = Array.from({ length: 30 }, (_, at) => ({
    pubkey: `lob1${at.toString(16).padStart(64, "0")}`,
    source: at < 3 ? "config" : "nostr",
    models: ["llama3.1:8b"],
    state: ["admitting", "tripped", "unknown"][at % 3],
  }));
  const { say } = await chat(t, { ...HEALTHY, "GET /peers": peers });
  assert.match(await say(""), /^Peers \(30\)\n(• .*\n){5}• and 25 more$/m);
  const said = await say("peers");
  assert.match(said, /^Peers \(30\)\n• lob1\w+: ready, 1 model\n• lob1\w+: rests after failures, 1 model\n/);
  assert.match(said, /\n• lob1\w+: stranger, ready, 1 model\n/);
  assert.match(said, /\n• and 10 more\n\nThey have\n• llama3\.1:8b$/);
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
