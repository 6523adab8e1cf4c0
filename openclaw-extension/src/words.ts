/**
 * What is shown in the chat: short lines for a narrow window, and no tables.
 */

import type { Batch } from "./batches.js";
import type { Account, Balance, Receipt } from "./books.js";
import type { Model, Peer } from "./gateway.js";
import type { Explained, Share } from "./owner.js";
import { isLoopback } from "./place.js";
import { gatewayUrl } from "./settings.js";

/** More are counted, and not named. */
const LISTED_MAX = 8;

/** A longer name is cut. */
const NAME_CHARS_MAX = 32;

/** A heading, and its lines below it. */
export function section(heading: string, lines: readonly string[]): string {
  return [heading, ...lines.map((line) => `• ${line}`)].join("\n");
}

/** The first of them, and how many are left out. */
export function some(lines: readonly string[], max = LISTED_MAX): string[] {
  const more = lines.length - max;
  return more > 0 ? [...lines.slice(0, max), `and ${more} more`] : [...lines];
}

export function counted(count: number, noun: string): string {
  if (count === 0) return `no ${noun}`;
  return `${grouped(count)} ${count === 1 ? noun : `${noun}s`}`;
}

/** 12,345 */
export function grouped(count: number): string {
  return count.toLocaleString("en-US");
}

/** `lob147c7936d`: enough to tell keys apart. */
export function short(pubkey: string): string {
  return /^lob1[0-9a-f]{64}$/.test(pubkey) ? pubkey.slice(0, 12) : cut(pubkey);
}

/** A name that others chose, in one line, and without what a chat would take for markup: a picture, say. */
export function cut(name: string): string {
  const line = name.replace(/[\p{C}\s]+/gu, " ").replace(/[[\]<>`*~|\\]/g, "").trim();
  const letters = [...line];
  return letters.length > NAME_CHARS_MAX ? `${letters.slice(0, NAME_CHARS_MAX - 1).join("")}…` : line;
}

/** Both in Unix milliseconds. */
export function ago(then: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - then) / 1000));
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

export function models(models: readonly Model[]): string {
  if (models.length === 0) return section("Models: none yet", ["get one with: ollama pull llama3.2"]);
  const lines = models.map(({ id, contextLength }) => {
    const context = contextLength ? `, ${grouped(contextLength)} tokens` : "";
    return cut(id) + context;
  });
  return section(`Models (${models.length})`, some(lines));
}

/** Friends come first, as the gateway sends them. */
export function peers(peers: readonly Peer[], max: number): string {
  if (peers.length === 0) return section("Peers: none yet", ["add a friend: lobstah peers add KEY URL"]);
  const lines = peers.map((peer) => {
    const stranger = peer.source === "nostr" || peer.source === "tracker" ? "stranger, " : "";
    return `${nameOf(peer)}: ${stranger}${faring(peer.state)}, ${counted(peer.models.length, "model")}`;
  });
  return section(`Peers (${peers.length})`, some(lines, max));
}

/** A gateway's word for how a peer fares, said to people. */
function faring(state: string): string {
  switch (state) {
    case "admitting":
      return "ready";
    case "tripped":
      return "rests after failures";
    case "unknown":
      return "not asked yet";
    default:
      return cut(state);
  }
}

export function peersAtLength(list: readonly Peer[]): string {
  const served = list.flatMap((peer) => peer.models);
  const names = [...new Set(served)].map(cut);
  const shown = peers(list, 20);
  return names.length === 0 ? shown : `${shown}\n\n${section("They have", some(names, 20))}`;
}

export function balance({ earned, spent, accounts }: Balance): string {
  const open = accounts.filter(({ owedToMe, owedByMe }) => owedToMe !== owedByMe);
  const lines = [`earned ${grouped(earned)}, spent ${grouped(spent)}`, ...some(open.map(owed), 4)];
  return section("Credits", lines);
}

function owed(account: Account): string {
  const net = account.owedToMe - account.owedByMe;
  const name = nameOf(account);
  return net > 0 ? `${name} owes you ${grouped(net)}` : `you owe ${name} ${grouped(-net)}`;
}

/** `me` tells what was earned from what was spent; labels come from the peers. */
export function receipts(receipts: readonly Receipt[], me: string, known: readonly Peer[], now: number): string {
  if (receipts.length === 0) return "Receipts: none yet";
  const label = (pubkey: string) => nameOf(known.find((peer) => peer.pubkey === pubkey) ?? { pubkey, label: undefined });
  const lines = receipts.map((receipt) => {
    const tokens = `${grouped(receipt.inputTokens)} in, ${grouped(receipt.outputTokens)} out`;
    const who = receipt.worker === me ? `for ${label(receipt.requester)}` : `by ${label(receipt.worker)}`;
    return `${cut(receipt.model)} ${who}: ${tokens}, ${ago(receipt.completedAt, now)}`;
  });
  return section("Last receipts", lines);
}

export function share(share: Share): string {
  const earned = `earned so far: ${share.earned === 0 ? "nothing" : counted(share.earned, "credit")}`;
  if (!share.sharing) return section("Sharing: off", [earned, "/lobstah share on begins"]);
  return section("Sharing: on", [
    ...listening(share.listen),
    share.announcing ? "announced to the network" : "not announced: strangers do not find it",
    share.models.length > 0
      ? `lends ${some(share.models.map(cut), 4).join(", ")}`
      : "lends no model: is Ollama up, and does worker.models name any that it has?",
    `${counted(share.serving, "request")} of others now`,
    earned,
  ]);
}

function listening(listen: string | undefined): string[] {
  if (!listen) return [];
  const alone = isLoopback(gatewayUrl(listen)?.hostname ?? "");
  return [`listens on ${listen}`, ...(alone ? ["only this machine reaches that: set worker.listen in lobstah.toml"] : [])];
}

export function batches(list: readonly Batch[]): string {
  if (list.length === 0) return section("Batches: none", ["start one: /lobstah batch run FILE"]);
  return section(`Batches (${list.length})`, some(list.map((one) => `${progress(one)}: ${one.id}`)));
}

/** `filesUrl` is where the gateway has files. */
export function batch(one: Batch, filesUrl: string): string {
  const file = (what: string, id: string | undefined) => (id ? [`${what}: ${filesUrl}/${id}/content`] : []);
  return section(`Batch ${progress(one)}`, [
    one.id,
    ...some(one.errors, 3),
    ...file("answers", one.outputFile),
    ...file("errors", one.errorFile),
  ]);
}

function progress({ status, total, completed, failed }: Batch): string {
  const done = total > 0 ? `, ${grouped(completed)} of ${grouped(total)} done` : "";
  return status.replaceAll("_", " ") + done + (failed > 0 ? `, ${grouped(failed)} failed` : "");
}

export function route({ model, use, to, candidates }: Explained): string {
  const asked = candidates.filter((one) => one.place !== undefined);
  const heading = `${cut(model)} goes to ${to.join(", ")}${use ? ` as ${cut(use)}` : ""}`;
  const line = (one: Explained["candidates"][number]) => `${cut(one.label)} (${one.group}): ${one.reason}`;
  const parts = [heading];
  if (asked.length > 0) {
    parts.push(["Asked, in this order", ...some(asked.map((one) => `${one.place}. ${line(one)}`))].join("\n"));
  } else {
    parts.push("Nobody is taken: a request would be answered with an error.");
  }
  const aside = candidates.filter((one) => one.place === undefined);
  if (aside.length > 0) parts.push(section("Not asked", some(aside.map(line))));
  return parts.join("\n\n");
}

function nameOf({ label, pubkey }: { label: string | undefined; pubkey: string }): string {
  return label ? cut(label) : short(pubkey);
}
