/**
 * `lobstah up` as a child of this process, which it never outlives.
 */

import { spawn, type ChildProcess } from "node:child_process";

/** How a child ended, and the last that it said. */
export interface Ended {
  /** Of the shell that waited for it: 128 and the signal's number, if one ended it. */
  code: number | null;
  said: string;
}

/** Tells it to stop when standard input ends: at our word, and with our process, however that dies. */
const UNTIL_INPUT_ENDS = `
exec 3<&0
"$0" up </dev/null 3<&- &
node=$!
(cat <&3 >/dev/null; kill -TERM "$node") &
watcher=$!
wait "$node"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"
`;

/** Its last words are kept for who has to mend what ended it. */
const SAID_CHARS_MAX = 4_096;

/** `gateway.drain` is 30 s unless its owner says otherwise; one that takes longer is ended. */
const DRAIN_MS = 35_000;

export class Child {
  private readonly shell: ChildProcess;
  private said = "";
  private over!: (ended: Ended) => void;
  /** Undefined while it runs. */
  ended: Ended | undefined;
  /** Resolves when it has ended. */
  readonly end = new Promise<Ended>((resolve) => (this.over = resolve));

  private constructor(shell: ChildProcess) {
    this.shell = shell;
    const hear = (chunk: Buffer) => (this.said = (this.said + chunk.toString()).slice(-SAID_CHARS_MAX));
    shell.stdout?.on("data", hear);
    shell.stderr?.on("data", hear);
    // Its end is seen below; that it reads no more is no news.
    shell.stdin?.on("error", () => {});
    shell.once("exit", (code) => this.bury({ code, said: this.said }));
    shell.once("error", (error) => this.bury({ code: null, said: error.message }));
  }

  /**
   * In a process group of its own: Ctrl-C in OpenClaw's terminal is for OpenClaw, which then tells this child
   * once. Told twice it would cut what is in flight.
   */
  static start(binary: string, env: NodeJS.ProcessEnv): Child {
    return new Child(spawn("/bin/sh", ["-c", UNTIL_INPUT_ENDS, binary], { env, stdio: "pipe", detached: true }));
  }

  /** It finishes what is in flight and ends. */
  async stop(): Promise<void> {
    if (this.ended) return;
    this.shell.stdin?.end();
    const late = setTimeout(() => this.kill(), DRAIN_MS);
    await this.end.finally(() => clearTimeout(late));
  }

  /** The whole group: the shell and the program. */
  private kill(): void {
    const { pid } = this.shell;
    if (pid !== undefined && !this.ended) process.kill(-pid, "SIGKILL");
  }

  private bury(ended: Ended): void {
    if (this.ended) return;
    this.ended = ended;
    this.over(ended);
  }
}

/** The line that says most about how it ended: the last that it wrote. */
export function lastWords({ code, said }: Ended): string {
  const line = said.trim().split("\n").at(-1)?.replace(/\u001b\[[0-9;]*m/g, "").trim();
  return line || `ended with code ${code}`;
}
