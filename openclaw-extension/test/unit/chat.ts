/**
 * `/lobstah` in a chat, before a gateway and an owner's socket that say what they are told to.
 */

import type { TestContext } from "node:test";
import { command, type Keeper } from "../../src/command.js";
import { settings } from "../../src/settings.js";
import { Fake, folder } from "./fakes.js";

const ME = `lob1${"a".repeat(64)}`;
export const MINI = `lob1${"b".repeat(64)}`;
export const STUDIO = `lob1${"c".repeat(64)}`;
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

export const BATCH = {
  id: "batch_1",
  object: "batch",
  status: "in_progress",
  input_file_id: "file-1",
  output_file_id: null,
  request_counts: { total: 40, completed: 12, failed: 1 },
};

export const HEALTHY = {
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
  },
  "GET /ledger": { total: 2, returned: 2, receipts: [receipt(ME, MINI, NOW - 120_000), receipt(STUDIO, ME, NOW - 7_200_000)] },
  "GET /v1/batches": { object: "list", data: [BATCH] },
};

/** What the owner is told of the same books. */
export const BOOKS = {
  ...HEALTHY["GET /balance"],
  peers: [
    { pubkey: MINI, label: "mini", owedToMe: 1290, owedByMe: 40 },
    { pubkey: STUDIO, label: null, owedToMe: 0, owedByMe: 7 },
  ],
};

export const SHARING = {
  sharing: true,
  listen: "0.0.0.0:17474",
  announcing: false,
  models: ["llama3.1:8b"],
  earned: 1290,
  serving: 1,
};

/** What `/lobstah …` answers, with a gateway and an owner's socket that say this. */
export async function chat(t: TestContext, gateway: object = HEALTHY, owner: object = {}, keeper?: Keeper) {
  const home = folder(t);
  const fake = await Fake.gateway(t, { ...gateway });
  const node = await Fake.owner(t, home, { ...owner });
  const env = { LOBSTAH_HOME: home };
  const { handler } = command(settings({ baseUrl: fake.url }, env), env, () => keeper);
  return { fake, node, home, say: async (args: string) => (await handler({ args, config: {} })).text };
}
