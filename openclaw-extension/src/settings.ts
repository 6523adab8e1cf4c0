/**
 * The plugin's own configuration: `plugins.entries.lobstah.config`, in which everything may be missing.
 */

import { text } from "./read.js";

export interface Settings {
  /** Where the gateway answers, with or without `/v1`. */
  baseUrl: URL | undefined;
  apiKey: string | undefined;
  /** The program `lobstah`. */
  binary: string | undefined;
}

/** `env` gives `LOBSTAH_API_KEY` where the configuration gives no key. */
export function settings(config: unknown, env: NodeJS.ProcessEnv): Settings {
  const baseUrl = text(config, "baseUrl");
  return {
    baseUrl: baseUrl ? gatewayUrl(baseUrl) : undefined,
    apiKey: text(config, "apiKey") || env["LOBSTAH_API_KEY"] || undefined,
    binary: text(config, "binary") || undefined,
  };
}

/** The gateway's own address, however its user wrote it: with or without scheme, `/v1` or a slash. */
export function gatewayUrl(written: string): URL | undefined {
  const withScheme = /^https?:\/\//.test(written) ? written : `http://${written}`;
  if (!URL.canParse(withScheme)) return undefined;
  const url = new URL(withScheme);
  url.pathname = url.pathname.replace(/\/+$/, "").replace(/\/v1$/, "");
  url.search = "";
  url.hash = "";
  return url;
}
