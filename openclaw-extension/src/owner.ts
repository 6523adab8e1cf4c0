/**
 * What only the owner may ask of a running node: through `lobstah.sock` in its home (SPEC section 6).
 */

import { homedir } from "node:os";
import { join } from "node:path";
import { balance, type Balance } from "./books.js";
import { ask, json, NoAnswer, type Ask, type Door } from "./http.js";
import { each, flag, list, number, text, texts } from "./read.js";

/** `GET /share`, and the answer to `POST /share`. */
export interface Share {
  sharing: boolean;
  /** Where the worker listens, while it does. */
  listen: string | undefined;
  announcing: boolean;
  models: string[];
  /** Credits, since this node's books began. */
  earned: number;
  /** Requests of others in the engine now. */
  serving: number;
}

/** `GET /route?model=…`: who would be asked, and why. */
export interface Explained {
  model: string;
  /** What is asked for in its place. */
  use: string | undefined;
  to: string[];
  candidates: Candidate[];
}

export interface Candidate {
  /** 1 for the one that is asked first; undefined for one that is not asked. */
  place: number | undefined;
  label: string;
  group: string;
  reason: string;
}

export class Owner {
  private readonly door: Door;

  /** `home` is `LOBSTAH_HOME`. */
  constructor(readonly home: string) {
    this.door = { kind: "socket", path: join(home, "lobstah.sock") };
  }

  async share(): Promise<Share> {
    return share(await this.ask("/share"));
  }

  async setShare(sharing: boolean): Promise<Share> {
    return share(await this.ask("/share", { method: "POST", body: json({ sharing }) }));
  }

  async balance(): Promise<Balance> {
    return balance(await this.ask("/balance"));
  }

  async route(model: string): Promise<Explained> {
    const value = await this.ask(`/route?model=${encodeURIComponent(model)}`);
    return {
      model: text(value, "model") ?? model,
      use: text(value, "use"),
      to: texts(value, "to"),
      candidates: each(list(value, "candidates"), candidate),
    };
  }

  private async ask(path: string, how: Ask = {}): Promise<unknown> {
    try {
      return await ask(this.door, path, how);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      throw new NoAnswer(`no node of yours answers in ${this.home} (${error.message})`);
    }
  }
}

/** As `lobstah` itself finds it. */
export function lobstahHome(env: NodeJS.ProcessEnv): string {
  return env["LOBSTAH_HOME"] || join(homedir(), ".lobstah");
}

function share(value: unknown): Share {
  return {
    sharing: flag(value, "sharing"),
    listen: text(value, "listen"),
    announcing: flag(value, "announcing"),
    models: texts(value, "models"),
    earned: number(value, "earned") ?? 0,
    serving: number(value, "serving") ?? 0,
  };
}

function candidate(value: unknown): Candidate | undefined {
  const label = text(value, "label");
  if (!label) return undefined;
  return {
    place: number(value, "place"),
    label,
    group: text(value, "group") ?? "",
    reason: text(value, "reason") ?? "",
  };
}
