/**
 * Finding the program `lobstah`, and asking it where its gateway listens. Nothing is ever downloaded.
 */

import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { field, text } from "./read.js";

/** What to do where there is none. */
export const HOW_TO_INSTALL =
  "lobstah is not installed. In a clone of Lobstah, run: cargo install --path gateway " +
  "(or say where it is: openclaw config set plugins.entries.lobstah.config.binary /path/to/lobstah)";

/** It reads a file and prints. */
const PATIENCE_MS = 10_000;

/** Where it may be, in the order in which it is looked for. */
export function places(configured: string | undefined, env: NodeJS.ProcessEnv): string[] {
  if (configured) return [configured];
  const path = (env["PATH"] ?? "").split(delimiter).filter(Boolean);
  const cargo = join(env["CARGO_HOME"] || join(homedir(), ".cargo"), "bin");
  return [...path, cargo, "/usr/local/bin", "/opt/homebrew/bin"].map((folder) => join(folder, "lobstah"));
}

export async function find(configured: string | undefined, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (const place of places(configured, env)) {
    const there = await access(place, constants.X_OK).then(() => true, () => false);
    if (there) return place;
  }
  return undefined;
}

/** Where `lobstah up` would listen: `gateway.listen`, as `lobstah config show` says it. */
export async function listens(binary: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  try {
    const said = await promisify(execFile)(binary, ["config", "show", "--json"], { env, timeout: PATIENCE_MS });
    return text(field(JSON.parse(said.stdout), "gateway.listen"), "value");
  } catch {
    // A broken lobstah.toml keeps it from starting too, and is said then.
    return undefined;
  }
}
