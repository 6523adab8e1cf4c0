import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { Command, HostApi, Provider, Service } from "../../src/host.js";
import { register } from "../../src/plugin.js";

const read = (name: string) => JSON.parse(readFileSync(new URL(`../../../${name}`, import.meta.url), "utf8"));
const manifest = read("openclaw.plugin.json");
const packed = read("package.json");

function registered() {
  const found: { providers: Provider[]; commands: Command[]; services: Service[] } = {
    providers: [],
    commands: [],
    services: [],
  };
  const api: HostApi = {
    registerProvider: (provider) => found.providers.push(provider),
    registerCommand: (command) => found.commands.push(command),
    registerService: (service) => found.services.push(service),
  };
  register(api, { PATH: "/nowhere" });
  return found;
}

test("registering registers a provider, a command and a service", () => {
  const { providers, commands, services } = registered();
  assert.deepEqual(providers.map((one) => one.id), ["lobstah"]);
  assert.deepEqual(commands.map((one) => one.name), ["lobstah"]);
  assert.deepEqual(services.map((one) => one.id), ["lobstah-gateway"]);
});

test("registering leaves nothing open: no socket, no timer, no process, no file", () => {
  const before = process.getActiveResourcesInfo();
  registered();
  assert.deepEqual(process.getActiveResourcesInfo(), before);
});

test("the manifest says what the code registers", () => {
  const [provider] = registered().providers;
  const [choice] = manifest.providerAuthChoices;
  const [method] = provider?.auth ?? [];
  assert.deepEqual(manifest.providers, [provider?.id]);
  assert.equal(choice.method, method?.id);
  assert.equal(choice.choiceId, provider?.wizard.setup.choiceId);
  assert.equal(choice.choiceHint, method?.hint);
  assert.deepEqual(manifest.setup.providers[0].envVars, provider?.envVars);
  assert.equal(manifest.commandAliases[0].name, registered().commands[0]?.name);
});

test("the versions agree wherever they stand", () => {
  assert.equal(manifest.version, packed.version);
  const host = packed.openclaw.build.openclawVersion;
  assert.equal(packed.openclaw.compat.pluginApi, `>=${host}`);
  assert.equal(packed.openclaw.install.minHostVersion, `>=${host}`);
  assert.equal(packed.peerDependencies.openclaw, `>=${host}`);
  const script = readFileSync(new URL("../../../scripts/host", import.meta.url), "utf8");
  assert.match(script, new RegExp(`^openclaw=${host.replaceAll(".", "\\.")}$`, "m"));
});

test("nothing is needed at runtime but the host, and one file imports it", () => {
  assert.equal(packed.dependencies, undefined);
  const built = new URL("../../src/", import.meta.url);
  for (const file of readdirSync(built).filter((name) => name.endsWith(".js") && name !== "index.js")) {
    for (const [, name = ""] of readFileSync(new URL(file, built), "utf8").matchAll(/from "([^"]+)"/g)) {
      assert.match(name, /^(node:|\.\/)/, file);
    }
  }
});
