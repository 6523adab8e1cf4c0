/**
 * Keeps a gateway going while OpenClaw runs: uses the one that answers, else starts `lobstah up`, starts it
 * again when it ends, takes over when another OpenClaw that had started it goes away, and stops it, if it is
 * ours, in the end. One loop owns the child; nobody else touches it.
 */

import { setTimeout as pause } from "node:timers/promises";
import { Child, lastWords } from "./child.js";
import type { Logger } from "./host.js";
import type { Place } from "./place.js";
import { next, pauseMs, READY_WITHIN_MS, type Seen, type State } from "./supervision.js";

export class Supervisor {
  private state: State = { kind: "looking" };
  private child: Child | undefined;
  private readonly stopping = new AbortController();
  private settled!: () => void;
  /** Resolves once there is a gateway, or it is known why there is none. */
  private readonly firstWord = new Promise<void>((resolve) => (this.settled = resolve));
  private readonly loop: Promise<void>;

  /** `locate` is asked whenever one is to be started: a program may have been installed meanwhile. */
  constructor(
    private readonly locate: () => Promise<Place>,
    private readonly env: NodeJS.ProcessEnv,
    private readonly logger: Logger,
  ) {
    this.loop = this.run();
  }

  /** Until the first word on it, or for as long as one may take to start. */
  async decided(): Promise<void> {
    const patience = new AbortController();
    const late = pause(READY_WITHIN_MS, undefined, { signal: patience.signal }).catch(() => {});
    await Promise.race([this.firstWord, late]);
    patience.abort();
  }

  /** Why there is no gateway, if it is known. */
  get trouble(): string | undefined {
    return "why" in this.state ? this.state.why : undefined;
  }

  /** Whether the gateway that runs is our child. */
  get ours(): boolean {
    return this.child !== undefined && this.child.ended === undefined;
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.loop;
    await this.child?.stop();
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    let place = await this.locate();
    while (!signal.aborted) {
      try {
        // Only where one is missing may it have to be looked for anew.
        if (this.state.kind === "helpless" || this.state.kind === "resting") place = await this.locate();
        await this.look(place, signal);
      } catch (error) {
        if (!signal.aborted) this.logger.warn(`lobstah: ${String(error)}`);
      }
      // A child that ends is seen at once.
      const wake = pause(pauseMs(this.state), undefined, { signal }).catch(() => {});
      await (this.child ? Promise.race([wake, this.child.end]) : wake);
    }
    this.settled();
  }

  private async look(place: Place, signal: AbortSignal): Promise<void> {
    const presence = await place.gateway.presence(signal);
    const step = next(this.state, { now: performance.now(), presence, start: place.start, child: this.seenChild() });
    this.enter(step.state, place);
    if (this.child?.ended) this.child = undefined;
    if (signal.aborted) return;
    if (step.act === "start" && place.start.kind === "up") this.child = Child.start(place.start.binary, this.env);
    if (step.act === "stop") await this.child?.stop();
  }

  private seenChild(): Seen["child"] {
    if (!this.child) return { kind: "none" };
    const { ended } = this.child;
    return ended ? { kind: "ended", lastWords: lastWords(ended) } : { kind: "alive" };
  }

  /** Says what changed, once. */
  private enter(state: State, place: Place): void {
    const before = this.state;
    this.state = state;
    if (state.kind !== "looking" && state.kind !== "starting") this.settled();
    if (before.kind === state.kind && this.trouble === ("why" in before ? before.why : undefined)) return;
    const at = place.gateway.place;
    switch (state.kind) {
      case "using":
        return this.logger.info(`lobstah: uses the gateway that answers at ${at}`);
      case "starting":
        return this.logger.info(`lobstah: starts its gateway at ${at}`);
      case "running":
        return this.logger.info(`lobstah: its gateway is ready at ${at}`);
      case "resting":
        return this.logger.warn(`lobstah: its gateway ended: ${state.why}; it is started again`);
      case "helpless":
        return this.logger.warn(`lobstah: no gateway at ${at}: ${state.why}`);
      case "looking":
        return;
    }
  }
}
