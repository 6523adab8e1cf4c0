/** Waiting for a condition, with a deadline that only a broken product reaches. */

import { setTimeout as pause } from "node:timers/promises";

/** The host takes up to half a minute to start on two slow cores. */
export const PATIENCE_MS = 120_000;

export async function eventually(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`);
    await pause(50);
  }
}
