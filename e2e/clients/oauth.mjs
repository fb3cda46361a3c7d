// What the programs of both TypeScript generations share: the host application around an SDK. It keeps what the SDK asks
// it to keep, plays the browser, and notes what happened, in order, as oauth.py does.

const REDIRECT_LIMIT = 15;

/** Follows an authorization URL to the client's redirect URI, with the cookies of one browser. */
export class Browser {
  #cookies = new Map();

  async open(url, redirectUrl) {
    let at = String(url);
    for (let hop = 0; hop < REDIRECT_LIMIT; hop += 1) {
      if (at.startsWith(redirectUrl)) return new URL(at);
      const cookie = [...this.#cookies].map((pair) => pair.join('=')).join('; ');
      const response = await fetch(at, { redirect: 'manual', headers: { cookie } });
      for (const line of response.headers.getSetCookie()) {
        const [pair] = line.split(';');
        const equals = pair.indexOf('=');
        this.#cookies.set(pair.slice(0, equals), pair.slice(equals + 1));
      }
      const next = response.headers.get('location');
      if (!next) throw new Error(`no way on from ${at}: ${response.status} ${await response.text()}`);
      at = new URL(next, at).href;
    }
    throw new Error(`more than ${REDIRECT_LIMIT} redirects`);
  }
}

/** An OAuthClientProvider of either generation. */
export class Application {
  #browser = new Browser();
  #known = {};

  constructor({ redirect_url, client_id, metadata_url }, events) {
    this.redirectUrl = redirect_url;
    this.clientMetadataUrl = metadata_url;
    this.events = events;
    if (client_id) this.#known.client = { client_id };
  }

  get clientMetadata() {
    return {
      client_name: 'e2e',
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    };
  }

  state() {
    return crypto.randomUUID();
  }

  clientInformation() {
    return this.#known.client;
  }

  saveClientInformation(client) {
    this.#known.client = client;
  }

  tokens() {
    return this.#known.tokens;
  }

  saveTokens(tokens) {
    this.events.push({ token: { scope: tokens.scope, type: tokens.token_type } });
    this.#known.tokens = tokens;
  }

  codeVerifier() {
    return this.#known.verifier;
  }

  saveCodeVerifier(verifier) {
    this.#known.verifier = verifier;
  }

  discoveryState() {
    return this.#known.discovery;
  }

  saveDiscoveryState(discovery) {
    this.#known.discovery = discovery;
  }

  async redirectToAuthorization(url) {
    this.events.push({ authorize: Object.fromEntries(url.searchParams) });
    this.callback = (await this.#browser.open(url, this.redirectUrl)).searchParams;
    this.events.push({ callback: [...this.callback.keys()].sort() });
  }

  /** Whether there is an answer of the authorization server to finish with; it counts once. */
  takeCallback() {
    const { callback } = this;
    this.callback = undefined;
    return callback;
  }
}

/** `fetch`, which notes what the SDK asks of the MCP server and of the authorization server. */
export function noting(events) {
  return async (url, init) => {
    const response = await fetch(url, init);
    const challenge = response.headers.get('www-authenticate');
    const { pathname } = new URL(url);
    events.push({ method: init?.method ?? 'GET', path: pathname, status: response.status, ...(challenge && { challenge }) });
    return response;
  };
}

/** Does what a host application does: when the user had to authorize, hands the SDK the callback and tries once more. */
async function authorized(attempt, { application, isUnauthorized, finish }) {
  try {
    return await attempt();
  } catch (error) {
    const callback = isUnauthorized(error) && application.takeCallback();
    if (!callback) throw error;
    await finish(callback);
    return attempt();
  }
}

/** One step of the script. */
export async function perform(client, step) {
  switch (step.do) {
    case 'tools': {
      const { tools } = await client.listTools();
      return { ok: true, text: tools.map((tool) => tool.name).join(' ') };
    }
    case 'call': {
      const result = await client.callTool({ name: step.name, arguments: step.arguments ?? {} });
      return { ok: !result.isError, text: result.content.map((part) => part.text ?? '').join('') };
    }
    default:
      throw new Error(`no such step: ${step.do}`);
  }
}

async function script() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

function told(error) {
  return { type: error.constructor.name, message: error.message, code: error.code, data: error.data };
}

/**
 * Reads the script, connects, performs every step. The SDK's part: `open` makes a client and its transport, `finish` hands
 * it the callback, `isUnauthorized` knows the error that asks for that, `prepare` readies the application.
 */
export async function run({ isUnauthorized, prepare, open, finish }) {
  const { url, mode, steps, oauth } = await script();
  const events = [];
  const results = [];
  const application = new Application(oauth, events);
  let current;
  const host = { application, isUnauthorized, finish: (callback) => finish(current.transport, callback) };
  // A transport is started once, so every attempt to connect takes another.
  const connect = async () => {
    current = open(new URL(url), { mode, application, fetch: noting(events) });
    await current.client.connect(current.transport);
  };
  let outcome;
  try {
    await prepare?.(application, oauth);
    await authorized(connect, host);
    for (const step of steps) {
      try {
        results.push(await authorized(() => perform(current.client, step), host));
      } catch (error) {
        results.push({ ok: false, error: told(error) });
      }
    }
    outcome = { connected: true, protocol: current.protocol() };
    await current.client.close();
  } catch (error) {
    outcome = { connected: false, error: error.stack };
  }
  process.stdout.write(JSON.stringify({ ...outcome, results, events }), () => process.exit(0));
}
