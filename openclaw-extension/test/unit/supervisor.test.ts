import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test, type TestContext } from "node:test";
import { locate } from "../../src/place.js";
import { settings } from "../../src/settings.js";
import { Supervisor } from "../../src/supervisor.js";
import { eventually, nobody, Program } from "./fakes.js";

const starts = (program: Program) => program.diary.filter((line) => line.startsWith("up ")).length;

function openClaw(t: TestContext, program: Program, config: object = {}): Supervisor {
  const logger = { info: () => {}, warn: () => {} };
  const mine = settings(config, program.env);
  const supervisor = new Supervisor(() => locate(mine, {}, program.env), program.env, logger);
  t.after(() => supervisor.stop());
  return supervisor;
}

async function ready(program: Program): Promise<boolean> {
  const { gateway } = await locate(settings({}, program.env), {}, program.env);
  return (await gateway.presence()).kind === "ready";
}

test("it starts a gateway, and ends it with OpenClaw", async (t) => {
  const program = new Program(t, await nobody());
  const supervisor = openClaw(t, program);
  await supervisor.decided();
  assert.ok(await ready(program));
  assert.ok(supervisor.ours);
  await supervisor.stop();
  assert.equal(program.diary.at(-1), "stopped");
  assert.equal(await ready(program), false);
});

test("a gateway that dies is started again", async (t) => {
  const program = new Program(t, await nobody());
  await openClaw(t, program).decided();
  program.kill();
  await eventually("a second start", () => starts(program) === 2);
  await eventually("it is ready again", () => ready(program));
});

test("two of them share one gateway; the second takes over when the first goes", async (t) => {
  const program = new Program(t, await nobody());
  const first = openClaw(t, program);
  await first.decided();
  const second = openClaw(t, program);
  await second.decided();
  assert.deepEqual([starts(program), first.ours, second.ours], [1, true, false]);

  await first.stop();
  await eventually("the second has one of its own", () => second.ours && ready(program));
  assert.deepEqual(program.diary.map((line) => line.split(" ")[0]), ["up", "stopped", "up"]);
});

test("a gateway that it did not start outlives it", async (t) => {
  const program = new Program(t, await nobody());
  const first = openClaw(t, program);
  await first.decided();
  const second = openClaw(t, program);
  await second.decided();
  await second.stop();
  assert.ok(await ready(program));
  assert.equal(first.trouble, undefined);
});

test("without the program it says how to get it", async (t) => {
  const program = new Program(t, await nobody());
  // Not looked for in the places where this machine may have one.
  const supervisor = openClaw(t, program, { binary: "/nowhere/lobstah", baseUrl: `http://${program.listen}` });
  await supervisor.decided();
  assert.match(supervisor.trouble ?? "", /cargo install --path gateway/);
});

test("a gateway does not outlive an OpenClaw that is killed", async (t) => {
  const program = new Program(t, await nobody());
  const script = `
    const { Child } = await import(${JSON.stringify(new URL("../../src/child.js", import.meta.url).href)});
    Child.start("lobstah", process.env);
  `;
  const killed = spawn(process.execPath, ["--input-type=module", "-e", script], { env: program.env, stdio: "ignore" });
  await eventually("it is ready", () => ready(program));
  killed.kill("SIGKILL");
  await eventually("it was stopped", () => program.diary.at(-1) === "stopped");
});
