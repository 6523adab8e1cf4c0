/**
 * `/lobstah` in the chat. It lends the machine and reads files of it, so it takes what lets one run the agent:
 * an operator of OpenClaw, or in a channel its owner.
 */

import * as batches from "./batches.js";
import { HOW_TO_INSTALL } from "./binary.js";
import type { Balance } from "./books.js";
import type { Presence } from "./gateway.js";
import type { Command, HostConfig } from "./host.js";
import { NoAnswer, Refused } from "./http.js";
import { apiUrl, locate, type Place } from "./place.js";
import { HELP, parse, type Question } from "./question.js";
import type { Settings } from "./settings.js";
import { ANOTHER_PROGRAM } from "./supervision.js";
import * as words from "./words.js";

/** What the service knows of the gateway, where it runs. */
export interface Keeper {
  trouble: string | undefined;
  ours: boolean;
}

/** In the overview; `/lobstah peers` shows more. */
const PEERS_SHOWN = 5;
const RECEIPTS_SHOWN = 3;

export function command(settings: Settings, env: NodeJS.ProcessEnv, keeper: () => Keeper | undefined): Command {
  return {
    name: "lobstah",
    description: "Lobstah: models, peers, credits, and serving others (/lobstah help)",
    acceptsArgs: true,
    requireAuth: true,
    requiredScopes: ["operator.write"],
    handler: async ({ args, config }) => ({ text: await reply(parse(args), settings, env, config, keeper()) }),
  };
}

async function reply(
  question: Question,
  settings: Settings,
  env: NodeJS.ProcessEnv,
  config: HostConfig,
  keeper: Keeper | undefined,
): Promise<string> {
  if (question.kind === "help") return HELP;
  if (question.kind === "unclear") return `There is no /lobstah ${words.cut(question.said)}.\n\n${HELP}`;
  const place = await locate(settings, config, env);
  try {
    return await answer(question, place, keeper);
  } catch (error) {
    return `That did not work: ${error instanceof NoAnswer ? missing(place, keeper, error.message) : said(error)}`;
  }
}

/** Why nobody answers, and what to do, as far as it is known. */
function missing({ start }: Place, keeper: Keeper | undefined, why: string): string {
  if (keeper?.trouble) return keeper.trouble;
  return start.kind === "noBinary" ? HOW_TO_INSTALL : `${why}; start one with: lobstah up`;
}

type Answerable = Exclude<Question, { kind: "help" } | { kind: "unclear" }>;

async function answer(question: Answerable, place: Place, keeper: Keeper | undefined): Promise<string> {
  const { gateway, owner } = place;
  const files = `${apiUrl(gateway.door.base)}/files`;
  switch (question.kind) {
    case "status":
      return status(place, keeper);
    case "peers":
      return words.peersAtLength(await gateway.peers());
    case "share":
      return words.share(await (question.wanted === "status" ? owner.share() : owner.setShare(question.wanted === "on")));
    case "batches":
      return words.batches(await batches.listed(gateway));
    case "batch":
      return words.batch(await batches.status(gateway, question.id), files);
    case "cancelBatch":
      return words.batch(await batches.cancel(gateway, question.id), files);
    case "runBatch":
      return words.batch(await batches.run(gateway, question.path), files);
    case "route":
      return words.route(await owner.route(question.model));
  }
}

/** Everything at once. A part that cannot be had says so in its place, unless this `lobstah` never had it. */
async function status(place: Place, keeper: Keeper | undefined): Promise<string> {
  const { gateway, owner } = place;
  const presence = await gateway.presence();
  if (presence.kind !== "ready") {
    return words.section(`No Lobstah gateway at ${gateway.place}`, [absence(presence, place, keeper)]);
  }
  const peers = gateway.peers();
  const balance = books(place);
  const receipts = async () =>
    words.receipts(await gateway.receipts(RECEIPTS_SHOWN), (await balance).pubkey, await peers, Date.now());
  const parts = await Promise.all([
    part("Models", async () => words.models(await gateway.models())),
    part("Peers", async () => words.peers(await peers, PEERS_SHOWN)),
    part("Credits", async () => words.balance(await balance)),
    part("Receipts", receipts),
    part("Batches", async () => words.batches(await batches.listed(gateway))),
    part("Sharing", async () => words.share(await owner.share())),
  ]);
  const whose = keeper?.ours ? "started by this OpenClaw" : "already there";
  return [`Lobstah at ${gateway.place}: ready, ${whose}`, ...parts.flat()].join("\n\n");
}

/** The owner's socket tells more of the books, if it is that of the gateway which was asked. */
async function books({ gateway, owner }: Place): Promise<Balance> {
  const [told, own] = await Promise.all([gateway.balance(), owner.balance().catch(() => undefined)]);
  return own?.pubkey === told.pubkey ? own : told;
}

function absence(presence: Presence, place: Place, keeper: Keeper | undefined): string {
  switch (presence.kind) {
    case "nobody":
      return missing(place, keeper, presence.why);
    case "other":
      return ANOTHER_PROGRAM;
    case "notReady":
    case "ready":
      return "it starts or stops just now; ask again";
  }
}

async function part(name: string, make: () => Promise<string>): Promise<string[]> {
  try {
    return [await make()];
  } catch (error) {
    return isTooOld(error) ? [] : [`${name}: ${said(error)}`];
  }
}

/** A gateway without a route says so in these words; it has them for nothing else. */
function isTooOld(error: unknown): boolean {
  return error instanceof Refused && error.status === 404 && error.message.startsWith("the route ");
}

/** The gateway's messages say what to do. */
function said(error: unknown): string {
  if (isTooOld(error)) return "the lobstah that runs here is too old for it; a newer one does it";
  return error instanceof Error ? error.message : String(error);
}
