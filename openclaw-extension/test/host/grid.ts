/**
 * Two workers with the practice engine, each a real `lobstah` of its own, and the home of a gateway that has
 * them for friends. The gateway itself is started by the plugin.
 */

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { Gateway } from "../../src/gateway.js";
import { each, field, number, text } from "../../src/read.js";
import { Door, PracticeEngine } from "./engine.js";
import { eventually } from "./patience.js";

export const MODEL = "practice:8b";

/** More credits than these turns spend: OpenClaw's prompts have some 15,000 tokens. */
const PLENTY = 1_000_000_000;

/** A `LOBSTAH_HOME`, and commands in it. */
class Home {
  readonly key: string;

  constructor(
    private readonly lobstah: string,
    readonly path: string,
  ) {
    mkdirSync(path, { mode: 0o700 });
    this.key = text(this.json("keygen", "--json"), "publicKey") ?? "";
  }

  get env(): NodeJS.ProcessEnv {
    return { PATH: process.env["PATH"], HOME: this.path, LOBSTAH_HOME: this.path };
  }

  json(...args: string[]): unknown {
    return JSON.parse(execFileSync(this.lobstah, args, { env: this.env, encoding: "utf8" }));
  }

  configure(toml: string): void {
    writeFileSync(join(this.path, "lobstah.toml"), toml);
  }

  /** The signatures of the receipts in its ledger for what it did itself, or for what others did. */
  signatures(whose: "own" | "others"): string[] {
    return each(this.json("receipts", "list", "--json"), (one) => {
      const own = text(field(one, "receipt"), "workerPubkey") === this.key;
      return own === (whose === "own") ? text(one, "signature") : undefined;
    });
  }

  /** What an audit of the ledger finds: nothing, where all is well. */
  findings(): number | undefined {
    return number(this.json("receipts", "audit", "--json"), "findings_total");
  }
}

export class Worker {
  private process: ChildProcess | undefined;
  readonly gateway: Gateway;

  constructor(
    private readonly lobstah: string,
    readonly home: Home,
    readonly door: Door,
    readonly listen: string,
    gateway: string,
  ) {
    this.gateway = new Gateway({ kind: "tcp", base: new URL(`http://${gateway}`) });
  }

  async start(): Promise<void> {
    this.process = spawn(this.lobstah, ["up"], { env: this.home.env, stdio: "ignore" });
    await eventually("a worker is ready", async () => (await this.gateway.presence()).kind === "ready");
  }

  /** As a machine that is switched off. */
  kill(): void {
    this.process?.kill("SIGKILL");
  }
}

export class Grid {
  private constructor(
    private readonly engine: PracticeEngine,
    readonly workers: readonly [Worker, Worker],
    /** Of the gateway that the plugin is to start. */
    readonly home: Home,
    readonly gateway: Gateway,
  ) {}

  static async start(lobstah: string, folder: string): Promise<Grid> {
    const engine = await PracticeEngine.start(lobstah, join(folder, "d"));
    const home = new Home(lobstah, join(folder, "gateway"));
    const workers: [Worker, Worker] = [
      await worker(lobstah, join(folder, "worker-1"), engine, home.key),
      await worker(lobstah, join(folder, "worker-2"), engine, home.key),
    ];
    const listen = await freeAddress();
    const friends = workers.map((one, at) => friend(one.home.key, `worker-${at + 1}`, `http://${one.listen}`));
    home.configure(`
[gateway]
listen = "${listen}"
[ollama]
url = "${engine.url}"
[worker]
listen = "${await freeAddress()}"
[credit]
anonymous = ${PLENTY}
[[routes]]
model = "*"
to = ["friends"]
${friends.join("")}`);
    for (const one of workers) await one.start();
    return new Grid(engine, workers, home, new Gateway({ kind: "tcp", base: new URL(`http://${listen}`) }));
  }

  behave(conduct: Door["conduct"]): void {
    this.workers.forEach((worker) => worker.door.behave(conduct));
  }

  /** Whichever of them the gateway chose. */
  async asked(): Promise<Worker> {
    await eventually("a worker is asked", () => this.workers.some((worker) => worker.door.asked > 0));
    return this.workers.find((worker) => worker.door.asked > 0) ?? this.workers[0];
  }

  /** Starts one again, and waits until the gateway takes it. */
  async mend(worker: Worker): Promise<void> {
    worker.door.behave({ kind: "text" });
    await worker.start();
    await eventually("the gateway takes the worker again", async () => {
      const peers = await this.gateway.peers();
      return peers.some((peer) => peer.pubkey === worker.home.key && peer.state === "admitting");
    });
  }

  stop(): void {
    for (const worker of this.workers) {
      worker.kill();
      worker.door.close();
    }
    this.engine.stop();
  }
}

async function worker(lobstah: string, path: string, engine: PracticeEngine, requester: string): Promise<Worker> {
  const home = new Home(lobstah, path);
  const door = await Door.open(engine);
  const [listen, gateway] = [await freeAddress(), await freeAddress()];
  home.configure(`
[gateway]
listen = "${gateway}"
[ollama]
url = "${door.url}"
[worker]
enabled = true
listen = "${listen}"
${friend(requester, "gateway")}credit_limit = ${PLENTY}
`);
  return new Worker(lobstah, home, door, listen, gateway);
}

function friend(key: string, label: string, url?: string): string {
  return `[[peers]]\npubkey = "${key}"\nlabel = "${label}"\n${url ? `url = "${url}"\n` : ""}`;
}

/** One of this machine where nobody listens now. */
export async function freeAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}
