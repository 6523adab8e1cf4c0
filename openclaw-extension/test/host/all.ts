/**
 * The plugin in a real OpenClaw, against real nodes: from its archive to receipts in the ledger, in the order
 * in which a user comes by it. Run it with `npm run test:host`; LOBSTAH_BIN is the program `lobstah`.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { Owner } from "../../src/owner.js";
import { field, list, text, texts } from "../../src/read.js";
import { freeAddress, Grid, MODEL } from "./grid.js";
import { OpenClaw, type Turn } from "./openclaw.js";
import { eventually } from "./patience.js";

const lobstah = resolve(process.env["LOBSTAH_BIN"] ?? "../target/debug/lobstah");
const folder = mkdtempSync(join(tmpdir(), "lobstah-"));

let grid: Grid;
let openclaw: OpenClaw;
let owner: Owner;

before(async () => {
  assert.ok(existsSync(lobstah), `there is no ${lobstah}: build it, or say where it is with LOBSTAH_BIN`);
  grid = await Grid.start(lobstah, folder);
  owner = new Owner(grid.home.path);
  const path = join(folder, "bin");
  mkdirSync(path);
  symlinkSync(lobstah, join(path, "lobstah"));
  const port = (await freeAddress()).split(":")[1] ?? "";
  openclaw = new OpenClaw(join(folder, "home"), grid.home.path, path, port);
});

after(async () => {
  await openclaw?.stop();
  grid?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A request that comes without OpenClaw: of somebody else. */
function asksOfWorker(listen: string): Promise<Response> {
  const body = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Say something." }] });
  const headers = { "content-type": "application/json" };
  return fetch(`http://${listen}/v1/chat/completions`, { method: "POST", headers, body });
}

function spoke(turn: Turn): void {
  assert.equal(turn.said.code, 0, turn.said.stdout + turn.said.stderr);
  assert.match(turn.text, /practice text from no model/i);
}

test("the archive installs, and OpenClaw finds nothing wrong with it", async () => {
  execFileSync("npm", ["pack", "--pack-destination", folder], { stdio: "pipe" });
  const archive = readdirSync(folder).filter((name) => name.endsWith(".tgz")).map((name) => join(folder, name))[0] ?? "";
  const installed = await openclaw.run("plugins", "install", archive, "--force", "--accept-capabilities");
  assert.equal(installed.code, 0, installed.stdout + installed.stderr);
  const inspected = await openclaw.json("plugins", "inspect", "lobstah", "--runtime", "--json");
  const plugin = field(inspected, "plugin");
  assert.equal(text(plugin, "status"), "loaded");
  assert.deepEqual(texts(plugin, "providerIds"), ["lobstah"]);
  assert.deepEqual(texts(plugin, "services"), ["lobstah-gateway"]);
  assert.deepEqual(texts(plugin, "commands"), ["lobstah"]);
  assert.deepEqual(list(inspected, "diagnostics"), []);
});

test("onboarding asks nothing, and writes down what the grid has, without a key", async () => {
  const flags = ["--accept-risk", "--skip-health", "--skip-channels", "--skip-skills", "--skip-ui", "--skip-daemon"];
  const choice = ["--mode", "local", "--auth-choice", "lobstah", "--custom-model-id", MODEL];
  const done = await openclaw.json("onboard", "--non-interactive", ...flags, ...choice, "--json");
  assert.equal(field(done, "ok"), true);
  const config = JSON.parse(readFileSync(join(openclaw.home, ".openclaw", "openclaw.json"), "utf8"));
  const { lobstah } = config.models.providers;
  assert.equal(lobstah.baseUrl, `http://${grid.gateway.place}/v1`);
  assert.equal("apiKey" in lobstah, false);
  assert.ok(lobstah.models.some((row: { id: string }) => row.id === MODEL));
  assert.equal(config.agents.defaults.model.primary, `lobstah/${MODEL}`);
  assert.equal((await grid.gateway.presence()).kind, "nobody", "the gateway was borrowed for the time of it");
});

test("a command without OpenClaw's Gateway has one started for it, and stopped", async () => {
  const ran = await openclaw.json("infer", "model", "run", "--local", "--model", `lobstah/${MODEL}`, "--prompt", "Hi.", "--json");
  assert.match(text(list(ran, "outputs")[0], "text") ?? "", /practice text from no model/i);
  await eventually("it is stopped", async () => (await grid.gateway.presence()).kind === "nobody");
});

test("a gateway comes up with OpenClaw", async () => {
  await openclaw.start();
  assert.match(openclaw.log, /lobstah: its gateway is ready/);
  assert.equal((await grid.gateway.presence()).kind, "ready");
});

test("a turn is answered by a friend's machine", async () => {
  spoke(await openclaw.turn("text", "Say something."));
});

test("a tool that the model calls really runs", async () => {
  const proof = join(folder, "proof");
  grid.behave({ kind: "tool", name: "exec", input: { command: `echo hauled > ${proof}` } });
  spoke(await openclaw.turn("tool", "Run it."));
  assert.equal(readFileSync(proof, "utf8"), "hauled\n");
});

test("a worker that dies before its first token is stood in for by another", async () => {
  grid.behave({ kind: "held", events: 0 });
  const turn = openclaw.turn("first-token", "Say something.");
  const dead = await grid.asked();
  dead.kill();
  grid.behave({ kind: "text" });
  spoke(await turn);
  await grid.mend(dead);
});

test("a worker that dies in the middle is told of, and OpenClaw asks again and gets a whole answer", async () => {
  grid.behave({ kind: "held", events: 5 });
  const turn = openclaw.turn("midstream", "Say something.");
  const dead = await grid.asked();
  await eventually("some of it is on its way", () => dead.door.held);
  dead.kill();
  grid.behave({ kind: "text" });
  spoke(await turn);
  assert.match(openclaw.log, /the answer broke off: .*what came so far is incomplete, ask again/);
  assert.equal(dead.door.asked, 0);
  await grid.mend(dead);
});

test("a model that nobody has is refused with what to do", async () => {
  const { code, stdout } = await openclaw.run("infer", "model", "run", "--local", "--model", "lobstah/nosuch:1b", "--prompt", "Hi.", "--json");
  assert.equal(code, 1);
  assert.match(stdout, /Unknown model: lobstah\/nosuch:1b\. The gateway at .* has .*practice:8b.*ollama pull nosuch:1b/);
});

test("/lobstah shows how things are", async () => {
  const said = await openclaw.chat("/lobstah");
  assert.match(said, /: ready, started by this OpenClaw$/m);
  assert.match(said, /^• practice:8b/m);
  assert.match(said, /^• worker-1: ready, 3 models$/m);
  assert.match(said, /^• practice:8b by worker-[12]: [\d,]+ in, \d+ out, just now$/m);
  assert.match(said, /^• you owe worker-[12] [\d,]+$/m);
  const explained = await openclaw.chat(`/lobstah route explain ${MODEL}`);
  assert.match(explained, /^1\. worker-[12] \(friends\): /m);
});

test("/lobstah share turns serving others on and off", async () => {
  assert.match(await openclaw.chat("/lobstah share"), /^Sharing: off\n• earned so far: nothing$/m);
  const on = await openclaw.chat("/lobstah share on");
  assert.match(on, /^Sharing: on\n• listens on 127\.0\.0\.1:\d+\n• only this machine reaches that.*\n• not announced/m);
  assert.match(on, /^• lends .*practice:8b/m);
  const { listen = "" } = await owner.share();
  assert.equal((await asksOfWorker(listen)).status, 200);
  assert.match(await openclaw.chat("/lobstah share status"), /^• earned so far: \d+ credits$/m);
  assert.match(await openclaw.chat("/lobstah share off"), /^Sharing: off$/m);
  assert.equal((await owner.share()).sharing, false);
  await assert.rejects(asksOfWorker(listen));
});

test("/lobstah batch runs a file", async () => {
  const body = { model: MODEL, messages: [{ role: "user", content: "Say something." }] };
  const path = join(folder, "batch.jsonl");
  writeFileSync(path, `${JSON.stringify({ custom_id: "1", method: "POST", url: "/v1/chat/completions", body })}\n`);
  const id = /^Batch .*\n• (batch_\w+)$/m.exec(await openclaw.chat(`/lobstah batch run ${path}`))?.[1] ?? "";
  await eventually("the batch is done", async () =>
    /^Batch completed, 1 of 1 done$/m.test(await openclaw.chat(`/lobstah batch status ${id}`)),
  );
});

test("each answer has its receipt, in the gateway's ledger and in its worker's", async () => {
  const received = grid.home.signatures("others");
  const served = grid.workers.flatMap((worker) => worker.home.signatures("own"));
  // A command's, a turn's, a call and what came of it, two that another worker gave, and a batch's.
  assert.ok(received.length >= 7, `${received.length} receipts`);
  assert.deepEqual(received.filter((signature) => !served.includes(signature)), []);
  assert.equal(grid.home.signatures("own").length, 1, "for what it did while it shared");
  for (const home of [grid.home, ...grid.workers.map((worker) => worker.home)]) assert.equal(home.findings(), 0);
});

test("the gateway goes with OpenClaw", async () => {
  await openclaw.stop();
  await eventually("nobody answers there", async () => (await grid.gateway.presence()).kind === "nobody");
});
