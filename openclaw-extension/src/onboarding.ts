/**
 * Setting Lobstah up in OpenClaw: finding the gateway and its models, and writing them down. No key is asked
 * for, and no question: what there is to know is known to the gateway.
 */

import { borrowed } from "./borrow.js";
import type { Model } from "./gateway.js";
import type {
  AuthMethod,
  AuthResult,
  ConfigPatch,
  GuidedContext,
  HostConfig,
  LocalService,
  NonInteractiveContext,
  OnboardingContext,
} from "./host.js";
import { providerConfig, sameModel, starter } from "./models.js";
import { apiUrl, locate, PROVIDER, type Place } from "./place.js";
import { text } from "./read.js";
import { gatewayUrl, type Settings } from "./settings.js";
import { READY_WITHIN_MS } from "./supervision.js";

/** A setup that cannot go on: its message says what to do. */
class CannotSetUp extends Error {
  override readonly name = "CannotSetUp";
}

/** What was found, and what of it is to be the default. */
interface Found {
  patch: ConfigPatch;
  modelId: string;
  count: number;
  url: string;
}

export function authMethod(settings: Settings, env: NodeJS.ProcessEnv): AuthMethod {
  return {
    id: "grid",
    label: "Lobstah",
    hint: "Models on your machine and your friends'; no key needed",
    kind: "custom",
    run: async (context) => result(await setUp(settings, env, context)),
    runNonInteractive: (context) => nonInteractive(settings, env, context),
    appGuidedSetup: {
      detectAvailability: async (context) => (await present(settings, env, context)) !== undefined,
      detect: (context) => detect(settings, env, context),
      prepare: async (context) => {
        const wanted = context.modelRef.replace(new RegExp(`^${PROVIDER}/`), "");
        return result(await setUp(settings, env, { ...context, opts: { customModelId: wanted } }));
      },
    },
  };
}

async function nonInteractive<C extends HostConfig>(
  settings: Settings,
  env: NodeJS.ProcessEnv,
  context: NonInteractiveContext<C>,
): Promise<C | null> {
  try {
    const found = await setUp(settings, env, context);
    return withFound(context.config, found);
  } catch (error) {
    context.runtime.error(`Lobstah: ${error instanceof Error ? error.message : String(error)}`);
    context.runtime.exit(1);
    return null;
  }
}

/** The flags of OpenClaw's own that we go by; nobody has to give them. */
interface Flags {
  baseUrl: URL | undefined;
  apiKey: string | undefined;
  model: string | undefined;
}

function flags(opts: unknown): Flags {
  const baseUrl = text(opts, "customBaseUrl");
  return {
    baseUrl: baseUrl ? gatewayUrl(baseUrl) : undefined,
    apiKey: text(opts, "customApiKey") || undefined,
    model: text(opts, "customModelId") || undefined,
  };
}

async function setUp(settings: Settings, env: NodeJS.ProcessEnv, context: OnboardingContext): Promise<Found> {
  const given = flags(context.opts);
  const merged: Settings = {
    ...settings,
    baseUrl: given.baseUrl ?? settings.baseUrl,
    apiKey: given.apiKey ?? settings.apiKey,
  };
  const place = await locate(merged, context.config, env);
  const models = await borrowed(place, env, context.signal, () => place.gateway.models(context.signal));
  const model = chosen(models, given.model, place);
  const base = place.gateway.door.base;
  const provider = providerConfig(base, models, {
    apiKey: keyToWrite(given, settings, env),
    localService: localService(place),
  });
  return {
    patch: { models: { providers: { [PROVIDER]: provider } } },
    modelId: model.id,
    count: provider.models.length,
    url: apiUrl(base),
  };
}

function chosen(models: readonly Model[], wanted: string | undefined, place: Place): Model {
  if (wanted === undefined) {
    const first = starter(models);
    if (first) return first;
    throw new CannotSetUp(
      `the gateway at ${place.gateway.place} has no model that chats yet; ` +
        "get one with `ollama pull llama3.2`, or add a friend with `lobstah peers add`, and run this again",
    );
  }
  const found = models.find((model) => sameModel(model.id, wanted));
  if (found) return found;
  const there = models.map((model) => model.id).join(", ") || "none";
  throw new CannotSetUp(`nobody on the grid has ${wanted}; there are: ${there}`);
}

/** A key that stands in the environment stays there. */
function keyToWrite(given: Flags, settings: Settings, env: NodeJS.ProcessEnv): string | undefined {
  if (given.apiKey) return given.apiKey;
  if (!settings.apiKey) return undefined;
  return settings.apiKey === env["LOBSTAH_API_KEY"] ? "${LOBSTAH_API_KEY}" : settings.apiKey;
}

function localService({ start, gateway }: Place): LocalService | undefined {
  if (start.kind !== "up") return undefined;
  const healthUrl = apiUrl(gateway.door.base).replace(/v1$/, "readyz");
  return { command: start.binary, args: ["up"], healthUrl, readyTimeoutMs: READY_WITHIN_MS };
}

function result(found: Found): AuthResult {
  const models = found.count === 1 ? "1 model" : `${found.count} models`;
  return {
    profiles: [],
    configPatch: found.patch,
    defaultModel: `${PROVIDER}/${found.modelId}`,
    notes: [`Lobstah at ${found.url} has ${models}. In the chat, /lobstah shows how things are.`],
  };
}

function withFound<C extends HostConfig>(config: C, found: Found): C {
  const { agents, models } = config;
  const before = agents?.defaults?.model;
  const model = { ...(typeof before === "object" ? before : {}), primary: `${PROVIDER}/${found.modelId}` };
  return {
    ...config,
    models: { ...models, providers: { ...models?.providers, ...found.patch.models.providers } },
    agents: { ...agents, defaults: { ...agents?.defaults, model } },
  };
}

/** Looks and starts nothing. */
async function present(settings: Settings, env: NodeJS.ProcessEnv, context: GuidedContext): Promise<Place | undefined> {
  const place = await locate(settings, context.config, env);
  const { kind } = await place.gateway.presence(context.signal);
  return kind === "ready" ? place : undefined;
}

async function detect(settings: Settings, env: NodeJS.ProcessEnv, context: GuidedContext) {
  const place = await present(settings, env, context);
  const model = place && starter(await place.gateway.models(context.signal));
  if (!model) return null;
  return { modelRef: `${PROVIDER}/${model.id}`, detail: `${model.id} at ${place.gateway.place}` };
}
