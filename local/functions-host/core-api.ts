// The seam between a function app and its host: the shapes that `@azure/functions` exchanges with the virtual
// module `@azure/functions-core`. Microsoft publishes no package for them; only what is used here is declared.

/** One value on its way between host and function; exactly one property is set. */
export type RpcTypedData = {
  string?: string;
  json?: string;
  bytes?: Uint8Array;
  http?: RpcHttpData;
  int?: number;
  double?: number;
};

/** An HTTP request (nullable maps) or response (headers, cookies, statusCode) as it crosses the seam. */
export type RpcHttpData = {
  method?: string;
  url?: string;
  body?: RpcTypedData | null;
  nullableHeaders?: Record<string, { value: string }>;
  nullableParams?: Record<string, { value: string }>;
  nullableQuery?: Record<string, { value: string }>;
  statusCode?: string;
  headers?: Record<string, string>;
  cookies?: RpcHttpCookie[];
};

/** A cookie of a response. */
export type RpcHttpCookie = {
  name: string;
  value: string;
  domain?: { value: string };
  path?: { value: string };
  expires?: { value: { seconds: number } };
  secure?: { value: boolean };
  httpOnly?: { value: boolean };
  sameSite?: 'none' | 'lax' | 'strict' | 'explicitNone';
  maxAge?: { value: number };
};

/** A binding as the app registered it: its type, its direction and its own options beside them. */
export type Binding = { type: string; direction?: string; [option: string]: unknown };

/** What the app says of a function when it registers it. */
export type FunctionMetadata = { name: string; bindings: Record<string, Binding>; retryOptions?: object };

export type FunctionHandler = (...args: unknown[]) => unknown;
export type HookHandler = (context: object) => unknown;
export type SeamLevel = 'trace' | 'debug' | 'information' | 'warning' | 'error' | 'critical' | 'none';

/** What the library is told about one invocation. */
export type CoreInvocationContext = {
  invocationId: string;
  metadata: FunctionMetadata;
  request: {
    invocationId: string;
    inputData: { name: string; data: RpcTypedData }[];
    triggerMetadata: Record<string, RpcTypedData>;
    traceContext?: { traceParent: string; traceState: string; attributes: Record<string, string> };
  };
  state?: 'preInvocationHooks' | 'invocation' | 'postInvocationHooks';
  log(level: SeamLevel, category: string, message: string): void;
};

/** What an invocation gave: the return value and the output bindings. */
export type InvocationResponse = {
  returnValue?: RpcTypedData | null;
  outputData?: { name: string; data: RpcTypedData }[];
};

export type InvocationModel = {
  getArguments(): Promise<{ context: object; inputs: unknown[] }>;
  invokeFunction(context: object, inputs: unknown[], handler: FunctionHandler): Promise<unknown>;
  getResponse(context: object, result: unknown): Promise<InvocationResponse>;
};

/** What `@azure/functions` hands to the host when its first function is registered. */
export type ProgrammingModel = {
  name: string;
  version: string;
  getInvocationModel(context: CoreInvocationContext): InvocationModel;
  getCapabilities?(capabilities: Record<string, string>): Promise<Record<string, string>>;
};
