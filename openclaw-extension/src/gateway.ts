/**
 * The gateway's HTTP routes, as far as this plugin asks them (SPEC section 6).
 */

import { balance, receipt, type Balance, type Receipt } from "./books.js";
import { ask, request, NoAnswer, type Ask, type Door } from "./http.js";
import { each, field, list, number, text, texts } from "./read.js";

/** One of `GET /v1/models`. */
export interface Model {
  id: string;
  owner: string;
  /** In tokens, where the gateway knows it. */
  contextLength: number | undefined;
}

/** One of `GET /peers`. */
export interface Peer {
  pubkey: string;
  label: string | undefined;
  /** `config` and `added` are friends, `nostr` and `tracker` strangers. */
  source: string;
  state: string;
  models: string[];
}

/** What was found where the gateway is looked for. */
export type Presence =
  | { kind: "ready" }
  /** A gateway that starts or stops. */
  | { kind: "notReady" }
  /** Some other program has its port. */
  | { kind: "other" }
  | { kind: "nobody"; why: string };

/** Readiness is looked at often, and a gateway says it at once. */
const READY_PATIENCE_MS = 3_000;

export class Gateway {
  constructor(readonly door: Door & { kind: "tcp" }) {}

  /** As tools are told it, without `/v1`: `127.0.0.1:17475`. */
  get place(): string {
    return this.door.base.host;
  }

  async presence(signal?: AbortSignal): Promise<Presence> {
    try {
      const { status, value } = await request(this.door, this.path("/readyz"), { timeoutMs: READY_PATIENCE_MS, signal });
      if (status === 200 && text(value, "status") === "ready") return { kind: "ready" };
      return status === 503 && field(value, "error") !== undefined ? { kind: "notReady" } : { kind: "other" };
    } catch (error) {
      if (error instanceof NoAnswer) return { kind: "nobody", why: error.message };
      throw error;
    }
  }

  async models(signal?: AbortSignal): Promise<Model[]> {
    return each(list(await this.ask("/v1/models", { signal }), "data"), model);
  }

  async peers(): Promise<Peer[]> {
    return each(await this.ask("/peers"), peer);
  }

  async balance(): Promise<Balance> {
    return balance(await this.ask("/balance"));
  }

  /** The last ones, newest first. */
  async receipts(limit: number): Promise<Receipt[]> {
    return each(list(await this.ask(`/ledger?limit=${limit}`), "receipts"), receipt);
  }

  async ask(path: string, how: Ask = {}): Promise<unknown> {
    try {
      return await ask(this.door, this.path(path), how);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      throw new NoAnswer(`no gateway answers at ${this.place} (${error.message})`);
    }
  }

  /** A gateway may stand below a path of a web server. */
  private path(path: string): string {
    return this.door.base.pathname.replace(/\/$/, "") + path;
  }
}

function model(value: unknown): Model | undefined {
  const id = text(value, "id");
  if (!id) return undefined;
  const length = number(value, "context_length");
  const contextLength = length !== undefined && length > 0 ? Math.floor(length) : undefined;
  return { id, owner: text(value, "owned_by") ?? "", contextLength };
}

function peer(value: unknown): Peer | undefined {
  const pubkey = text(value, "pubkey");
  if (!pubkey) return undefined;
  return {
    pubkey,
    label: text(value, "label"),
    source: text(value, "source") ?? "",
    state: text(value, "state") ?? "unknown",
    models: texts(value, "models"),
  };
}
