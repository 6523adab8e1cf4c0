/**
 * A real OpenClaw in a home of its own: its commands, its Gateway, its chat.
 */

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { each, field, list, text } from "../../src/read.js";
import { eventually, PATIENCE_MS } from "./patience.js";

/** The one conversation. */
const SESSION = "agent:main:main";

export interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

/** What `openclaw agent --json` tells of a turn. */
export interface Turn {
  said: Said;
  text: string;
}

export class OpenClaw {
  private gateway: ChildProcess | undefined;
  /** What its Gateway says. */
  log = "";

  /** `lobstahHome` is where the plugin finds its gateway's settings, `path` where it finds `lobstah`. */
  constructor(
    readonly home: string,
    private readonly lobstahHome: string,
    private readonly path: string,
    private readonly port: string,
  ) {
    mkdirSync(home);
  }

  private get env(): NodeJS.ProcessEnv {
    return {
      PATH: `${this.path}:${process.env["PATH"]}`,
      HOME: this.home,
      TMPDIR: this.home,
      LOBSTAH_HOME: this.lobstahHome,
      // No programs are fetched at the first start, and no colours go into what is read here.
      OPENCLAW_OFFLINE: "1",
      NO_COLOR: "1",
    };
  }

  /** A command to its end, whatever that is. */
  async run(...args: string[]): Promise<Said> {
    return this.runWith({}, args);
  }

  async json(...args: string[]): Promise<unknown> {
    const said = await this.run(...args);
    return parsed(said, args);
  }

  /** Until it says that it is ready. */
  async start(): Promise<void> {
    this.gateway = spawn("openclaw", ["gateway", "run", "--port", this.port], { env: this.env });
    const hear = (chunk: Buffer) => {
      this.log += chunk.toString();
      appendFileSync(join(this.home, "gateway.log"), chunk);
    };
    this.gateway.stdout?.on("data", hear);
    this.gateway.stderr?.on("data", hear);
    await eventually("OpenClaw's Gateway is ready", () => /\[gateway\] ready/.test(this.log));
  }

  async stop(): Promise<void> {
    const { gateway } = this;
    if (!gateway || gateway.exitCode !== null) return;
    gateway.kill("SIGTERM");
    await eventually("OpenClaw ends", () => gateway.exitCode !== null || gateway.signalCode !== null);
  }

  /** A turn of the agent in a conversation of its own, through the Gateway. */
  async turn(conversation: string, message: string): Promise<Turn> {
    const args = ["agent", "--session-key", `agent:main:${conversation}`, "--message", message, "--json"];
    const said = await this.runWith(this.client, args);
    const answer = parsedOrNot(said.stdout);
    const payloads = list(field(answer, "result"), "payloads");
    return { said, text: each(payloads, (one) => text(one, "text")).join("\n") };
  }

  /** What is said in the chat, and what comes back: the way of Control UI and of every channel. */
  async chat(message: string): Promise<string> {
    const key = `${Date.now()}-${message}`;
    await this.call("chat.send", { sessionKey: SESSION, message, idempotencyKey: key });
    const replies: string[] = [];
    await eventually(`an answer to ${message}`, async () => {
      const history = list(await this.call("chat.history", { sessionKey: SESSION }), "messages");
      const at = history.findIndex((one) => text(one, "idempotencyKey") === `${key}:user`);
      const answer = at >= 0 ? history.slice(at + 1).find((one) => text(one, "role") === "assistant") : undefined;
      replies.push(...each(list(answer, "content"), (one) => text(one, "text")));
      return replies.length > 0;
    });
    return replies.join("\n");
  }

  private async call(method: string, params: object): Promise<unknown> {
    const args = ["gateway", "call", method, "--params", JSON.stringify(params), "--json"];
    return parsed(await this.runWith(this.client, args), args);
  }

  /** As a client of the Gateway that `start` started. */
  private get client(): NodeJS.ProcessEnv {
    const config = JSON.parse(readFileSync(join(this.home, ".openclaw", "openclaw.json"), "utf8")) as unknown;
    const token = text(field(field(config, "gateway"), "auth"), "token");
    return { OPENCLAW_GATEWAY_URL: `ws://127.0.0.1:${this.port}`, OPENCLAW_GATEWAY_TOKEN: token ?? "" };
  }

  private async runWith(more: NodeJS.ProcessEnv, args: string[]): Promise<Said> {
    const env = { ...this.env, ...more };
    const running = promisify(execFile)("openclaw", args, { env, timeout: PATIENCE_MS, maxBuffer: 64 * 1024 * 1024 });
    running.child.stdin?.end();
    try {
      return { code: 0, ...(await running) };
    } catch (error) {
      const code = field(error, "code");
      const said = { stdout: text(error, "stdout") ?? "", stderr: text(error, "stderr") ?? "" };
      return { code: typeof code === "number" ? code : -1, ...said };
    }
  }
}

function parsed(said: Said, args: string[]): unknown {
  const value = parsedOrNot(said.stdout);
  if (said.code !== 0 || value === undefined) {
    throw new Error(`openclaw ${args.join(" ")} ended with ${said.code}: ${said.stdout}${said.stderr}`);
  }
  return value;
}

function parsedOrNot(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
