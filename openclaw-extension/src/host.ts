/**
 * What this plugin gives to OpenClaw and takes from it, in its own words: so that all but `index.ts` can be
 * built and tested where OpenClaw is not installed. That these shapes fit the real ones is checked by
 * compiling `index.ts` against the real package (`npm run typecheck:host`).
 */

/** One of `models.providers.<id>.models`. Windows and limits in tokens. */
export interface ModelRow {
  id: string;
  name: string;
  reasoning: boolean;
  input: "text"[];
  cost: { input: number; output: number; cacheRead: number; cacheWrite: number };
  contextWindow: number;
  maxTokens: number;
}

/** `models.providers.lobstah`. */
export interface ProviderConfig {
  baseUrl: string;
  api: "openai-completions";
  apiKey?: string;
  timeoutSeconds?: number;
  localService?: LocalService;
  models: ModelRow[];
}

/**
 * What OpenClaw itself starts before a request if nobody answers `healthUrl`, and ends with its process. Its
 * commands need it: our service runs in its Gateway only.
 */
export interface LocalService {
  command: string;
  args: string[];
  healthUrl: string;
  readyTimeoutMs: number;
}

/** What we read of `models.providers.lobstah`, whoever wrote it. */
export interface ConfiguredProvider {
  baseUrl?: string;
  apiKey?: unknown;
  models?: readonly { id: string; contextWindow?: number | undefined }[];
}

/** What we read of the user's configuration. */
export interface HostConfig {
  models?: { providers?: Record<string, ConfiguredProvider> };
  agents?: { defaults?: { model?: unknown } };
}

/** What we write into it. */
export interface ConfigPatch {
  models: { providers: Record<string, ProviderConfig> };
}

/** A model that stands in no list. */
export interface DynamicModel extends ModelRow {
  provider: string;
  api: "openai-completions";
  baseUrl: string;
}

export interface Logger {
  info(message: string): void;
  warn(message: string): void;
}

export interface CatalogContext {
  signal?: AbortSignal;
  config: HostConfig;
}

export interface DynamicContext {
  config?: HostConfig;
  modelId: string;
  providerConfig?: { baseUrl?: string };
}

export interface GuidedContext {
  config: HostConfig;
  signal?: AbortSignal;
}

/** `opts` are the flags of `openclaw onboard`. */
export interface OnboardingContext<C extends HostConfig = HostConfig> {
  config: C;
  opts?: Record<string, unknown>;
  signal?: AbortSignal;
}

export interface NonInteractiveContext<C extends HostConfig> extends OnboardingContext<C> {
  runtime: { error(...words: unknown[]): void; exit(code: number): void };
}

export interface AuthResult {
  profiles: [];
  configPatch: ConfigPatch;
  defaultModel: string;
  notes: string[];
}

export interface AuthMethod {
  id: string;
  label: string;
  hint: string;
  kind: "custom";
  run(context: OnboardingContext): Promise<AuthResult>;
  /** Gives the configuration back with what was added, whatever else stands in it. */
  runNonInteractive<C extends HostConfig>(context: NonInteractiveContext<C>): Promise<C | null>;
  appGuidedSetup: {
    detectAvailability(context: GuidedContext): Promise<boolean>;
    detect(context: GuidedContext): Promise<{ modelRef: string; detail: string } | null>;
    prepare(context: GuidedContext & { modelRef: string }): Promise<AuthResult | null>;
  };
}

export interface Provider {
  id: string;
  label: string;
  envVars: string[];
  auth: AuthMethod[];
  catalog: Catalog;
  staticCatalog: Catalog;
  prepareDynamicModel(context: DynamicContext): Promise<DynamicModel | undefined>;
  resolveDynamicModel(context: DynamicContext): DynamicModel | undefined;
  resolveSyntheticAuth(context: unknown): { apiKey: string; source: string; mode: "api-key" };
  buildUnknownModelHint(context: { modelId: string }): string;
  classifyFailoverReason(context: HostError): "model_not_found" | "overloaded" | undefined;
  wizard: {
    setup: Record<"choiceId" | "choiceLabel" | "choiceHint" | "groupId" | "groupLabel" | "groupHint" | "methodId", string>;
    modelPicker: { label: string; hint: string; methodId: string };
  };
}

export interface Catalog {
  order: "late";
  run(context: CatalogContext): Promise<{ provider: ProviderConfig } | null>;
}

/** An error of a request as OpenClaw saw it. */
export interface HostError {
  errorMessage: string;
  code?: string;
}

export interface Command {
  name: string;
  description: string;
  acceptsArgs: true;
  requireAuth: true;
  requiredScopes: ["operator.write"];
  handler(context: { args?: string; config: HostConfig }): Promise<{ text: string }>;
}

export interface ServiceContext {
  config: HostConfig;
  logger: Logger;
}

export interface Service {
  id: string;
  reload: { configPrefixes: string[] };
  start(context: ServiceContext): Promise<void>;
  stop(context: ServiceContext): Promise<void>;
}

export interface HostApi {
  pluginConfig?: Record<string, unknown>;
  registerProvider(provider: Provider): void;
  registerCommand(command: Command): void;
  registerService(service: Service): void;
}
