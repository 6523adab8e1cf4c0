/**
 * Stand-ins on this machine's loopback: a gateway that answers as it is told and remembers what it was asked,
 * and a program `lobstah` that behaves as the real one does when it is started and stopped.
 */

import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

export interface Asked {
  method: string;
  path: string;
  authorization: string | undefined;
  type: string | undefined;
  body: string;
}

type Answers = Record<string, unknown>;

/** An answer that is a no, as the gateway words them. */
export class No {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly message: string,
  ) {}
}

/** Answers `METHOD /path` from a table, whatever the query; else 404. */
export class Fake {
  readonly asked: Asked[] = [];

  private constructor(
    private readonly server: Server,
    readonly answers: Answers,
  ) {}

  static async gateway(t: TestContext, answers: Answers = {}): Promise<Fake> {
    return Fake.listening(t, { "GET /readyz": { status: "ready" }, ...answers }, { host: "127.0.0.1", port: 0 });
  }

  /** The owner's socket, in this home. */
  static async owner(t: TestContext, home: string, answers: Answers): Promise<Fake> {
    return Fake.listening(t, answers, { path: join(home, "lobstah.sock") });
  }

  private static async listening(t: TestContext, answers: Answers, where: object): Promise<Fake> {
    const server = createServer();
    const fake = new Fake(server, answers);
    server.on("request", (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { method = "", url = "", headers } = request;
        const type = headers["content-type"];
        const body = Buffer.concat(chunks).toString();
        fake.asked.push({ method, path: url, authorization: headers.authorization, type, body });
        const found = answers[`${method} ${url.split("?", 1)[0]}`];
        const no = found instanceof No ? found : new No(404, "not_found", `the route ${url} does not exist here`);
        const yes = found !== undefined && !(found instanceof No);
        const error = { error: { message: no.message, type: "x", param: null, code: no.code } };
        response.writeHead(yes ? 200 : no.status, { "content-type": "application/json" });
        response.end(typeof found === "string" ? found : JSON.stringify(yes ? found : error));
      });
    });
    await new Promise<void>((resolve) => server.listen(where, resolve));
    t.after(() => server.close());
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
}

export function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "lobstah-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** An address of this machine where nobody listens. */
export async function nobody(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}

/** A program `lobstah` of our own. What it was told stands in its diary, a line each. */
export class Program {
  readonly env: NodeJS.ProcessEnv;
  readonly path: string;
  private readonly home: string;

  constructor(
    t: TestContext,
    readonly listen: string,
  ) {
    this.home = folder(t);
    this.path = join(this.home, "lobstah");
    writeFileSync(this.path, `#!${process.execPath}\n${PROGRAM}`);
    chmodSync(this.path, 0o755);
    this.env = { PATH: `${this.home}:/usr/bin:/bin`, HOME: this.home, LOBSTAH_HOME: this.home, FAKE_LISTEN: listen };
  }

  get diary(): string[] {
    const file = join(this.home, "diary");
    return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
  }

  /** Ends the one that was started last, as a crash would. */
  kill(): void {
    const started = this.diary.findLast((line) => line.startsWith("up "));
    process.kill(Number(started?.slice(3)), "SIGKILL");
  }
}

const PROGRAM = `
const { appendFileSync } = require("node:fs");
const { createServer } = require("node:http");
const { FAKE_LISTEN: listen, LOBSTAH_HOME: home } = process.env;
const note = (line) => appendFileSync(home + "/diary", line + "\\n");
if (process.argv[2] === "config") {
  console.log(JSON.stringify({ "gateway.listen": { value: listen, from: "lobstah.toml" } }));
} else {
  const models = { object: "list", data: [{ id: "llama3.2:1b", object: "model", owned_by: "local" }] };
  const server = createServer((request, response) => {
    response.end(JSON.stringify(request.url === "/readyz" ? { status: "ready" } : models));
  });
  server.on("error", () => {
    console.error("gateway cannot listen on " + listen);
    process.exit(1);
  });
  process.on("SIGTERM", () => {
    note("stopped");
    process.exit(0);
  });
  server.listen(Number(listen.split(":")[1]), "127.0.0.1", () => note("up " + process.pid));
}
`;

/** Only a broken plugin takes so long. */
const PATIENCE_MS = 20_000;

export async function eventually(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`);
    await pause(10);
  }
}
