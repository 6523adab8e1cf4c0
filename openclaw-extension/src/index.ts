/**
 * The plugin as OpenClaw loads it: the one file that imports OpenClaw at runtime.
 */

import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";
import { register } from "./plugin.js";

export default definePluginEntry({
  id: "lobstah",
  name: "Lobstah",
  description: "Models on your machine and your friends', and your machine on the grid",
  register: (api) => register(api),
});
