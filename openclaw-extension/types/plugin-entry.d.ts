/**
 * Stands in for `openclaw/plugin-sdk/plugin-entry` where OpenClaw is not installed. The type check against
 * the real package (`npm run typecheck:host`) does without it.
 */
import type { HostApi } from "../src/host.js";

export declare function definePluginEntry(entry: {
  id: string;
  name: string;
  description: string;
  register(api: HostApi): void;
}): unknown;
