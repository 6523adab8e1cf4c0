/**
 * The practice engine of `lobstah demo`, and before it, one for each worker, a door that a test can hold.
 *
 * The practice engine calls the first tool whenever a user spoke last, and OpenClaw ends every request with a
 * word of its own as a user. So the door takes the tools out of what it passes on, but for the one that a test
 * wants to be called.
 */

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { ask } from "../../src/http.js";
import { each, field, list, text } from "../../src/read.js";
import { eventually } from "./patience.js";

/** `lobstah demo --serve --practice`, of which only the engine is used. */
export class PracticeEngine {
  private constructor(
    private readonly demo: ChildProcess,
    readonly url: string,
  ) {}

  static async start(lobstah: string, folder: string): Promise<PracticeEngine> {
    mkdirSync(folder);
    const env = { PATH: process.env["PATH"], HOME: folder, TMPDIR: folder };
    const demo = spawn(lobstah, ["demo", "--serve", "--practice"], { env, stdio: "ignore" });
    const socket = () => readdirSync(folder).map((name) => join(folder, name, "worker-1", "lobstah.sock"))[0] ?? "";
    await eventually("the demo's worker answers its owner", () => existsSync(socket()));
    const explained = await ask({ kind: "socket", path: socket() }, "/route?model=practice:8b");
    const local = each(list(explained, "candidates"), (one) => (text(one, "group") === "local" ? one : undefined));
    return new PracticeEngine(demo, text(local[0], "url") ?? "");
  }

  stop(): void {
    this.demo.kill();
  }
}

/** Where answers are asked for, and what each of their events ends in: long prompts go by Ollama's own API. */
const ANSWERS: Record<string, string> = { "/v1/chat/completions": "\n\n", "/api/chat": "\n" };

/** What becomes of the answers that pass. */
export type Conduct =
  | { kind: "text" }
  | { kind: "tool"; name: string; input: object }
  /** So many events pass, and then nothing until the door is let go. */
  | { kind: "held"; events: number };

export class Door {
  conduct: Conduct = { kind: "text" };
  /** Requests for an answer, since it was last asked to forget them. */
  asked = 0;
  private letGo: (() => void)[] = [];

  private constructor(
    private readonly server: Server,
    private readonly engine: URL,
  ) {}

  static async open(engine: PracticeEngine): Promise<Door> {
    const server = createServer();
    const door = new Door(server, new URL(engine.url));
    server.on("request", (incoming, outgoing) => {
      door.pass(incoming, outgoing).catch(() => outgoing.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return door;
  }

  /** Whether an answer stands before it. */
  get held(): boolean {
    return this.letGo.length > 0;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  behave(conduct: Conduct): void {
    this.conduct = conduct;
    this.asked = 0;
    this.letGo.splice(0).forEach((go) => go());
  }

  close(): void {
    this.behave({ kind: "text" });
    this.server.closeAllConnections();
    this.server.close();
  }

  private async pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
    const end = ANSWERS[incoming.url ?? ""];
    const { conduct } = this;
    const body = end ? Buffer.from(shaped(Buffer.concat(chunks).toString(), conduct)) : Buffer.concat(chunks);
    if (end) this.asked += 1;
    const answer = await this.forward(incoming, body);
    let left = end && conduct.kind === "held" ? conduct.events : Infinity;
    if (left > 0) outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      if (left <= 0) await new Promise<void>((resolve) => this.letGo.push(resolve));
      if (!outgoing.headersSent) outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      outgoing.write(chunk);
      if (end) left -= chunk.toString().split(end).length - 1;
    }
    outgoing.end();
  }

  private forward(incoming: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
    const { host: _, "transfer-encoding": __, ...headers } = incoming.headers;
    const sent = request(new URL(incoming.url ?? "/", this.engine), {
      method: incoming.method ?? "GET",
      headers: { ...headers, "content-length": body.length },
    });
    return new Promise((resolve, reject) => sent.once("response", resolve).once("error", reject).end(body));
  }
}

/** What the practice engine is to see of a request. */
function shaped(body: string, conduct: Conduct): string {
  const asked = JSON.parse(body) as { messages: unknown[]; tools?: unknown[]; tool_choice?: unknown };
  const result = asked.messages.findLastIndex((one) => text(one, "role") === "tool");
  const said = asked.messages.findLastIndex((one) => text(one, "role") === "assistant");
  const answered = result > said;
  const wanted = conduct.kind === "tool" && !answered ? tool(asked.tools, conduct) : undefined;
  const { tools: _, tool_choice: __, ...rest } = asked;
  return JSON.stringify(wanted ? { ...rest, tools: [wanted] } : rest);
}

/** The tool as OpenClaw offers it, with the one input that is to come back. */
function tool(offered: unknown, conduct: { name: string; input: object }): unknown {
  const found = each(offered, (one) => (text(field(one, "function"), "name") === conduct.name ? one : undefined))[0];
  if (!found) throw new Error(`OpenClaw offers no tool ${conduct.name}`);
  return { type: "function", function: { name: conduct.name, parameters: { const: conduct.input } } };
}
