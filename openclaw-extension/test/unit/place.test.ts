import assert from "node:assert/strict";
import { test } from "node:test";
import { places } from "../../src/binary.js";
import { apiUrl, locate, reachable } from "../../src/place.js";
import { gatewayUrl, settings } from "../../src/settings.js";
import { Program } from "./fakes.js";

const configuredAt = (baseUrl: string, apiKey?: string) => ({
  models: { providers: { lobstah: { baseUrl, ...(apiKey && { apiKey }) } } },
});

test("the gateway is where lobstah.toml says, and may be started there", async (t) => {
  const program = new Program(t, "127.0.0.1:4711");
  const place = await locate(settings({}, program.env), {}, program.env);
  assert.equal(place.gateway.place, "127.0.0.1:4711");
  assert.equal(place.start.kind, "up");
});

test("one that listens everywhere is reached on loopback", () => {
  assert.equal(reachable("0.0.0.0:80").href, "http://127.0.0.1/");
  assert.equal(reachable("[::]:81").href, "http://[::1]:81/");
  assert.equal(reachable("192.168.1.5:81").href, "http://192.168.1.5:81/");
});

test("what the owner set goes before what onboarding wrote, and that before lobstah.toml", async (t) => {
  const program = new Program(t, "127.0.0.1:1");
  const written = configuredAt("http://127.0.0.1:2/v1");
  const wrote = await locate(settings({}, program.env), written, program.env);
  const set = await locate(settings({ baseUrl: "http://127.0.0.1:3/v1/" }, program.env), written, program.env);
  assert.deepEqual([wrote.gateway.place, set.gateway.place], ["127.0.0.1:2", "127.0.0.1:3"]);
  assert.deepEqual([wrote.start.kind, set.start.kind], ["elsewhere", "elsewhere"]);
});

test("localhost is this machine by any of its names", async (t) => {
  const program = new Program(t, "127.0.0.1:4711");
  const place = await locate(settings({ baseUrl: "localhost:4711" }, program.env), {}, program.env);
  assert.equal(place.start.kind, "up");
});

test("an address may be written in any way that people write it", () => {
  for (const written of ["http://a:1/v1", "http://a:1/v1/", "http://a:1", "a:1", "a:1/v1?x#y"]) {
    assert.equal(apiUrl(gatewayUrl(written) ?? new URL("x:")), "http://a:1/v1", written);
  }
  assert.equal(apiUrl(gatewayUrl("https://a/lobstah/v1") ?? new URL("x:")), "https://a/lobstah/v1");
  assert.equal(gatewayUrl("http://"), undefined);
});

test("the key is the owner's, else the one that onboarding wrote, by name or in full", async () => {
  const env = { NAMED: "sk-named" };
  const key = async (config: object, written: string) =>
    (await locate(settings(config, env), configuredAt("a:1", written), env)).gateway.door.apiKey;
  assert.equal(await key({ apiKey: "sk-set" }, "sk-written"), "sk-set");
  assert.equal(await key({}, "sk-written"), "sk-written");
  assert.equal(await key({}, "${NAMED}"), "sk-named");
});

test("the program is looked for on the path, and where installers put it", () => {
  const found = places(undefined, { PATH: "/a:/b", CARGO_HOME: "/c" });
  assert.deepEqual(found, ["/a", "/b", "/c/bin", "/usr/local/bin", "/opt/homebrew/bin"].map((at) => `${at}/lobstah`));
  assert.deepEqual(places("/mine", { PATH: "/a" }), ["/mine"]);
});
