/**
 * A gateway for the time of one question, where none runs: setting up needs the list of models, and comes
 * before OpenClaw's Gateway with our service.
 */

import { setTimeout as pause } from "node:timers/promises";
import { HOW_TO_INSTALL } from "./binary.js";
import { Child, lastWords } from "./child.js";
import type { Place } from "./place.js";
import { READY_WITHIN_MS } from "./supervision.js";

const LOOK_EVERY_MS = 100;

/** Asks a gateway that runs, or one that is started for this and stopped afterwards. */
export async function borrowed<T>(
  place: Place,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
  question: () => Promise<T>,
): Promise<T> {
  const presence = await place.gateway.presence(signal);
  if (presence.kind !== "nobody") return question();
  const child = Child.start(binaryOf(place, presence.why), env);
  try {
    await ready(place, child, signal);
    return await question();
  } finally {
    await child.stop();
  }
}

function binaryOf({ start, gateway }: Place, why: string): string {
  if (start.kind === "up") return start.binary;
  if (start.kind === "noBinary") throw new Error(`no gateway at ${gateway.place} (${why}), and ${HOW_TO_INSTALL}`);
  throw new Error(`no gateway at ${gateway.place} (${why}); lobstah up would listen on ${start.listen}`);
}

async function ready(place: Place, child: Child, signal: AbortSignal | undefined): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while ((await place.gateway.presence(signal)).kind !== "ready") {
    if (child.ended) throw new Error(`lobstah up failed: ${lastWords(child.ended)}`);
    if (Date.now() > deadline) throw new Error(`lobstah up was not ready within ${READY_WITHIN_MS / 1000} s`);
    await pause(LOOK_EVERY_MS, undefined, signal ? { signal } : {});
  }
}
