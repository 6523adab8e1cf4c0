/**
 * Where the gateway is, and whether it is one that this plugin may start.
 */

import { find, listens } from "./binary.js";
import { Gateway } from "./gateway.js";
import type { ConfiguredProvider, HostConfig } from "./host.js";
import { lobstahHome, Owner } from "./owner.js";
import { gatewayUrl, type Settings } from "./settings.js";

export const PROVIDER = "lobstah";

/** `gateway.listen` of a `lobstah.toml` that says nothing. */
const DEFAULT_LISTEN = "127.0.0.1:17475";

/** A gateway and how to get it going. */
export interface Place {
  gateway: Gateway;
  owner: Owner;
  start: Start;
}

export type Start =
  | { kind: "up"; binary: string }
  | { kind: "noBinary" }
  /** Another address than the one at which `lobstah up` would listen here. */
  | { kind: "elsewhere"; listen: string };

/** Looks at files and runs `lobstah config show`; asks no gateway. */
export async function locate(settings: Settings, config: HostConfig, env: NodeJS.ProcessEnv): Promise<Place> {
  const binary = await find(settings.binary, env);
  const listen = (binary && (await listens(binary, env))) || DEFAULT_LISTEN;
  const base = settings.baseUrl ?? configuredUrl(config) ?? reachable(listen);
  return {
    gateway: gatewayAt(base, settings.apiKey ?? configuredKey(config, env)),
    owner: new Owner(lobstahHome(env)),
    start: startOf(binary, base, listen),
  };
}

/** What is known without looking at anything. */
export function knownUrl(settings: Settings, config: HostConfig | undefined): URL {
  return settings.baseUrl ?? configuredUrl(config) ?? reachable(DEFAULT_LISTEN);
}

export function configured(config: HostConfig | undefined): ConfiguredProvider | undefined {
  return config?.models?.providers?.[PROVIDER];
}

/** As OpenAI's clients are told it. */
export function apiUrl(base: URL): string {
  return `${base.href.replace(/\/$/, "")}/v1`;
}

/** An address on which one listens, as one to connect to: `0.0.0.0` is reached at `127.0.0.1`. */
export function reachable(listen: string): URL {
  const url = gatewayUrl(listen) ?? new URL(`http://${DEFAULT_LISTEN}`);
  if (url.hostname === "0.0.0.0") url.hostname = "127.0.0.1";
  if (url.hostname === "[::]") url.hostname = "[::1]";
  return url;
}

function configuredUrl(config: HostConfig | undefined): URL | undefined {
  const written = configured(config)?.baseUrl;
  return written ? gatewayUrl(written) : undefined;
}

/** The one that onboarding wrote: itself, or the name of a variable. */
function configuredKey(config: HostConfig, env: NodeJS.ProcessEnv): string | undefined {
  const written = configured(config)?.apiKey;
  if (typeof written !== "string") return undefined;
  const variable = /^\$\{(\w+)\}$/.exec(written)?.[1];
  return variable ? env[variable] : written;
}

function gatewayAt(base: URL, apiKey: string | undefined): Gateway {
  return new Gateway({ kind: "tcp", base, ...(apiKey && { apiKey }) });
}

function startOf(binary: string | undefined, base: URL, listen: string): Start {
  // Without the program nobody knows where it would listen, but it would be on this machine.
  if (!binary && isLoopback(base.hostname)) return { kind: "noBinary" };
  if (!binary || !same(base, reachable(listen))) return { kind: "elsewhere", listen };
  return { kind: "up", binary };
}

function same(one: URL, other: URL): boolean {
  const place = (url: URL) => `${url.protocol}//${isLoopback(url.hostname) ? "loopback" : url.hostname}:${url.port}`;
  return place(one) === place(other);
}

export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}
