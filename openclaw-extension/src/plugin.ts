/**
 * All parts wired. OpenClaw calls this often, in every command of its own: it opens no socket, starts no
 * process and reads no file. What does, begins with the service, or with a question.
 */

import { command } from "./command.js";
import type { HostApi, Service } from "./host.js";
import { locate } from "./place.js";
import { provider } from "./provider.js";
import { settings } from "./settings.js";
import { Supervisor } from "./supervisor.js";

export function register(api: HostApi, env: NodeJS.ProcessEnv = process.env): void {
  const mine = settings(api.pluginConfig, env);
  let supervisor: Supervisor | undefined;
  const service: Service = {
    id: "lobstah-gateway",
    // Where the plugin's own settings change, OpenClaw loads all of it anew.
    reload: { configPrefixes: ["models.providers.lobstah.baseUrl"] },
    start: async ({ config, logger }) => {
      supervisor = new Supervisor(() => locate(mine, config, env), env, logger);
      await supervisor.decided();
    },
    stop: async () => {
      await supervisor?.stop();
      supervisor = undefined;
    },
  };
  api.registerProvider(provider(mine, env));
  api.registerCommand(command(mine, env, () => supervisor));
  api.registerService(service);
}
