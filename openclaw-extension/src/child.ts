/**
 * `lobstah up` as a child of this process.
 */

import { spawn, type ChildProcess } from "node:child_process";

/** How a child ended, and the last that it said. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  said: string;
}

/** Its last words are kept for who has to mend what ended it. */
const SAID_CHARS_MAX = 4_096;

/** `gateway.drain` is 30 s unless its owner says otherwise; one that takes longer is ended. */
const DRAIN_MS = 35_000;

export class Child {
  private readonly process: ChildProcess;
  private readonly leave = () => this.process.kill("SIGTERM");
  private said = "";
  private over!: (ended: Ended) => void;
  /** Undefined while it runs. */
  ended: Ended | undefined;
  /** Resolves when it has ended. */
  readonly end = new Promise<Ended>((resolve) => (this.over = resolve));

  private constructor(process: ChildProcess) {
    this.process = process;
    process.stdout?.on("data", (chunk: Buffer) => this.hear(chunk));
    process.stderr?.on("data", (chunk: Buffer) => this.hear(chunk));
    process.once("exit", (code, signal) => this.bury({ code, signal, said: this.said }));
    process.once("error", (error) => this.bury({ code: null, signal: null, said: error.message }));
    globalThis.process.once("exit", this.leave);
  }

  /**
   * In a process group of its own: Ctrl-C in OpenClaw's terminal is for OpenClaw, which then tells this child
   * once. Told twice it would cut what is in flight.
   */
  static start(binary: string, env: NodeJS.ProcessEnv): Child {
    const child = spawn(binary, ["up"], { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    return new Child(child);
  }

  /** SIGTERM; it finishes what is in flight and ends. */
  async stop(): Promise<void> {
    if (this.ended) return;
    this.process.kill("SIGTERM");
    const late = setTimeout(() => this.process.kill("SIGKILL"), DRAIN_MS);
    await this.end.finally(() => clearTimeout(late));
  }

  private bury(ended: Ended): void {
    if (this.ended) return;
    this.ended = ended;
    globalThis.process.off("exit", this.leave);
    this.over(ended);
  }

  private hear(chunk: Buffer): void {
    this.said = (this.said + chunk.toString()).slice(-SAID_CHARS_MAX);
  }
}

/** The line that says most about how it ended: the last that it wrote. */
export function lastWords({ code, signal, said }: Ended): string {
  const line = said.trim().split("\n").at(-1)?.replace(/\u001b\[[0-9;]*m/g, "").trim();
  return line || (signal ? `ended by ${signal}` : `ended with code ${code}`);
}
