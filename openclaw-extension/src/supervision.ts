/**
 * What to do about the gateway, given what is seen of it: pure, so that every case can be tested without a
 * process. `supervisor.ts` looks and acts.
 */

import { HOW_TO_INSTALL } from "./binary.js";
import type { Presence } from "./gateway.js";
import type { Start } from "./place.js";

export type State =
  | { kind: "looking" }
  /** Somebody else's gateway answers: another OpenClaw's, or one that its owner started. */
  | { kind: "using" }
  | { kind: "starting"; since: number; failures: number }
  /** Our child answers. */
  | { kind: "running"; since: number; failures: number }
  | { kind: "resting"; until: number; failures: number; why: string }
  /** Nothing that we could start would help. */
  | { kind: "helpless"; why: string };

/** Times in milliseconds of a clock that does not jump. */
export interface Seen {
  now: number;
  presence: Presence;
  start: Start;
  child: { kind: "none" } | { kind: "alive" } | { kind: "ended"; lastWords: string };
}

export interface Step {
  state: State;
  act: "nothing" | "start" | "stop";
}

export const ANOTHER_PROGRAM = "another program has its port; stop that, or set gateway.listen in lobstah.toml";

/** A child that is not ready by then hangs. */
export const READY_WITHIN_MS = 30_000;

/** One that ran for so long is well; its next end is a first failure. */
export const STEADY_MS = 60_000;

const REST_MS_FIRST = 1_000;
const REST_MS_MAX = 60_000;

/** Who starts, looks often; who has none and can start none, seldom. The end of a child is seen at once. */
export function pauseMs(state: State): number {
  switch (state.kind) {
    case "looking":
    case "starting":
      return 100;
    case "using":
    case "resting":
      return 1_000;
    case "running":
      return 5_000;
    case "helpless":
      return 15_000;
  }
}

/** The rest after so many failures in a row. */
export function restMs(failures: number): number {
  return Math.min(REST_MS_MAX, REST_MS_FIRST * 2 ** (failures - 1));
}

export function next(state: State, seen: Seen): Step {
  switch (seen.child.kind) {
    case "alive":
      return withChild(state, seen);
    case "ended":
      return afterEnd(state, seen, seen.child.lastWords);
    case "none":
      return alone(state, seen);
  }
}

/** One that was ready is left alone while it lives: a machine that computes answers slowly. */
function withChild(state: State, { now, presence }: Seen): Step {
  if (state.kind === "running") {
    const failures = now - state.since >= STEADY_MS ? 0 : state.failures;
    return { state: { ...state, failures }, act: "nothing" };
  }
  const { since, failures } = state.kind === "starting" ? state : { since: now, failures: 0 };
  if (presence.kind === "ready") return { state: { kind: "running", since: now, failures }, act: "nothing" };
  return { state: { kind: "starting", since, failures }, act: now - since > READY_WITHIN_MS ? "stop" : "nothing" };
}

function afterEnd(state: State, seen: Seen, why: string): Step {
  // The other OpenClaw was faster: ours found its port taken.
  if (seen.presence.kind === "ready") return { state: { kind: "using" }, act: "nothing" };
  const failures = ("failures" in state ? state.failures : 0) + 1;
  return { state: { kind: "resting", until: seen.now + restMs(failures), failures, why }, act: "nothing" };
}

function alone(state: State, { now, presence, start }: Seen): Step {
  switch (presence.kind) {
    case "ready":
      return { state: { kind: "using" }, act: "nothing" };
    case "notReady":
      return { state: { kind: "looking" }, act: "nothing" };
    case "other":
      return helpless(ANOTHER_PROGRAM);
    case "nobody":
      break;
  }
  if (state.kind === "resting" && now < state.until) return { state, act: "nothing" };
  switch (start.kind) {
    case "noBinary":
      return helpless(HOW_TO_INSTALL);
    case "elsewhere":
      return helpless(`nobody answers there (${presence.why}), and lobstah up would listen on ${start.listen}`);
    case "up": {
      const failures = "failures" in state ? state.failures : 0;
      return { state: { kind: "starting", since: now, failures }, act: "start" };
    }
  }
}

function helpless(why: string): Step {
  return { state: { kind: "helpless", why }, act: "nothing" };
}
