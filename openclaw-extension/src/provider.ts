/**
 * The provider `lobstah`: which models there are, and what OpenClaw is to make of the gateway's errors.
 */

import type { Model } from "./gateway.js";
import type { CatalogContext, DynamicContext, DynamicModel, HostConfig, HostError, Provider } from "./host.js";
import { dynamic, providerConfig, sameModel } from "./models.js";
import { authMethod } from "./onboarding.js";
import { configured, knownUrl, locate, PROVIDER, type Place } from "./place.js";
import { gatewayUrl, type Settings } from "./settings.js";

/** The gateway takes any key unless its owner lists some; OpenClaw wants one to be there. */
const NO_KEY = "lobstah";

/** A model picker does not wait for long. */
const LIST_PATIENCE_MS = 5_000;

/** So many models are named in a hint. */
const NAMED_MAX = 8;

/** What a gateway listed when it was last asked. */
type LastSeen = { kind: "nothing" } | { kind: "models"; place: Place; models: Model[] };

export function provider(settings: Settings, env: NodeJS.ProcessEnv): Provider {
  const catalog = new Catalog(settings, env);
  return {
    id: PROVIDER,
    label: "Lobstah",
    envVars: ["LOBSTAH_API_KEY"],
    auth: [authMethod(settings, env)],
    catalog: { order: "late", run: (context) => catalog.live(context) },
    staticCatalog: { order: "late", run: async ({ config }) => writtenDown(config) },
    prepareDynamicModel: (context) => catalog.prepare(context),
    resolveDynamicModel: (context) => catalog.resolve(context),
    resolveSyntheticAuth: () => ({
      apiKey: settings.apiKey ?? NO_KEY,
      source: settings.apiKey ? "the key of plugins.entries.lobstah" : "lobstah needs no key",
      mode: "api-key",
    }),
    buildUnknownModelHint: ({ modelId }) => catalog.hint(modelId),
    classifyFailoverReason: failoverReason,
    wizard: {
      setup: {
        choiceId: PROVIDER,
        choiceLabel: "Lobstah",
        choiceHint: "Models on your machine and your friends'; no key needed",
        groupId: PROVIDER,
        groupLabel: "Lobstah",
        groupHint: "Your own grid of machines with Ollama",
        methodId: "grid",
      },
      modelPicker: { label: "Lobstah", hint: "Look again which models the grid has", methodId: "grid" },
    },
  };
}

/** The gateway's list, asked now, and what is remembered of it for hooks that may not wait. */
class Catalog {
  private seen: LastSeen = { kind: "nothing" };

  constructor(
    private readonly settings: Settings,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /** Nothing if no gateway answers: OpenClaw then keeps what onboarding wrote. */
  async live({ config, signal }: CatalogContext) {
    const found = await this.look(config, signal);
    if (!found || found.models.length === 0) return null;
    const apiKey = this.keyFor(config);
    return { provider: providerConfig(found.place.gateway.door.base, found.models, { apiKey }) };
  }

  /**
   * A model that stands in no list of OpenClaw's, with its context as the gateway has it now. Throws if the
   * gateway has it not: OpenClaw would ask for it all the same, and then keep the gateway's answer to itself.
   */
  async prepare({ config, modelId }: DynamicContext): Promise<DynamicModel | undefined> {
    const found = await this.look(config ?? {}, undefined);
    if (!found) return undefined;
    const model = found.models.find((one) => sameModel(one.id, modelId));
    if (!model) throw new Error(`Unknown model: ${PROVIDER}/${modelId}. ${this.hint(modelId)}`);
    return dynamic({ ...model, id: modelId }, found.place.gateway.door.base);
  }

  /** Where the gateway was not asked, any name may be right; where it was, only those that it has. */
  resolve({ config, modelId, providerConfig }: DynamicContext): DynamicModel | undefined {
    const written = providerConfig?.baseUrl ? gatewayUrl(providerConfig.baseUrl) : undefined;
    const base = written ?? knownUrl(this.settings, config);
    if (this.seen.kind === "nothing") return dynamic({ id: modelId, contextLength: undefined }, base);
    const model = this.seen.models.find((one) => sameModel(one.id, modelId));
    return model && dynamic({ ...model, id: modelId }, base);
  }

  hint(modelId: string): string {
    const get = `\`ollama pull ${modelId}\` gets it for this machine, and \`lobstah route explain ${modelId}\` says who would be asked`;
    if (this.seen.kind === "nothing") return `No Lobstah gateway was asked: start one with \`lobstah up\`. Then ${get}.`;
    const { place, models } = this.seen;
    const names = models.slice(0, NAMED_MAX).map((model) => model.id).join(", ");
    const more = models.length > NAMED_MAX ? `, and ${models.length - NAMED_MAX} more` : "";
    return `The gateway at ${place.gateway.place} has ${names ? names + more : "no model yet"}; ${get}.`;
  }

  /** What onboarding wrote is OpenClaw's to merge; a key of the environment is known by its name. */
  private keyFor(config: HostConfig): string | undefined {
    if (configured(config)) return undefined;
    const { apiKey } = this.settings;
    return apiKey && apiKey === this.env["LOBSTAH_API_KEY"] ? "LOBSTAH_API_KEY" : apiKey;
  }

  private async look(config: HostConfig, signal: AbortSignal | undefined) {
    const patience = AbortSignal.timeout(LIST_PATIENCE_MS);
    try {
      const place = await locate(this.settings, config, this.env);
      const models = await place.gateway.models(signal ? AbortSignal.any([signal, patience]) : patience);
      const found = { place, models };
      this.seen = { kind: "models", ...found };
      return found;
    } catch {
      // No gateway, or one that refuses; either is said by what asks it next, a request or /lobstah.
      return undefined;
    }
  }
}

/** What the last onboarding found. */
function writtenDown(config: HostConfig) {
  const written = configured(config);
  const rows = written?.models ?? [];
  const base = written?.baseUrl ? gatewayUrl(written.baseUrl) : undefined;
  if (!base || rows.length === 0) return null;
  const models = rows.map(({ id, contextWindow }) => ({ id, owner: "", contextLength: contextWindow }));
  return { provider: providerConfig(base, models) };
}

/** The gateway's codes (SPEC section 7), as far as OpenClaw would take them for something else. */
function failoverReason({ code, errorMessage }: HostError): ReturnType<Provider["classifyFailoverReason"]> {
  const is = (...codes: string[]) => codes.some((one) => code === one || errorMessage.includes(one));
  if (is("model_not_found")) return "model_not_found";
  if (is("worker_busy", "no_upstream", "all_upstreams_failed")) return "overloaded";
  return undefined;
}
