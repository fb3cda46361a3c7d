// The authorization server of the suite: oidc-provider, which asks nobody. Whoever is sent here is logged in as one user,
// who consents at once.
//
//   provider.mjs PORT SETTINGS.json
//
// Keys are made at the start. `POST /rotate` makes a new signing key of each algorithm and drops the old ones. Settings:
//   user, groups    who is logged in, and the claim `groups` of every access token
//   scopes          those that resources have
//   first_consent   what the user grants at first; asked again in the same browser session, the user grants everything
//   resources       {URL: {format: jwt | opaque, algorithm}}
//   algorithms      {client id: algorithm}: instead of the resource's
//   clients         as in RFC 7591; their secrets are the suite's, made on the spot
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { errors, Provider } from 'oidc-provider';

const ALGORITHMS = { ES256: {}, RS256: {}, EdDSA: { crv: 'Ed25519' } };
const TOKEN_LIFETIME_S = 600;

const port = Number(process.argv[2]);
const settings = JSON.parse(await readFile(process.argv[3], 'utf8'));
const issuer = `http://127.0.0.1:${port}`;

async function makeKeys(generation) {
  const made = Object.entries(ALGORITHMS).map(async ([alg, options]) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true, ...options });
    return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `${alg}-${generation}` };
  });
  return Promise.all(made);
}

function resourceServer(_ctx, url, client) {
  const resource = settings.resources[url];
  if (!resource) throw new errors.InvalidTarget();
  const alg = settings.algorithms?.[client.clientId] ?? resource.algorithm;
  return {
    audience: url,
    scope: settings.scopes.join(' '),
    accessTokenFormat: resource.format,
    accessTokenTTL: TOKEN_LIFETIME_S,
    ...(resource.format === 'jwt' && { jwt: { sign: { alg } } }),
  };
}

const configuration = (keys) => ({
  jwks: { keys },
  clients: settings.clients,
  scopes: ['openid', 'offline_access'],
  responseTypes: ['code'],
  pkce: { required: () => true },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  cookies: { keys: ['nothing here is secret'] },
  ttl: { AccessToken: TOKEN_LIFETIME_S, ClientCredentials: TOKEN_LIFETIME_S, Session: 3600, Interaction: 600, Grant: 3600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
    dPoP: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId === settings.introspector },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: resourceServer,
    },
  },
  // The default refuses loopback addresses, where the suite's client ID metadata document is.
  fetch: (url, { dispatcher: _, ...options }) => fetch(url, options),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: () => ({ groups: settings.groups }),
  // Every authorization asks the user anew, so that a later one can grant more than an earlier one did.
  loadExistingGrant: (ctx) => {
    const grant = ctx.oidc.result?.consent?.grantId;
    return grant && ctx.oidc.provider.Grant.find(grant);
  },
});

const askedBefore = new Set();

/** What the user does when a page is shown: logs in, and consents. */
async function interact(provider, ctx) {
  const interaction = await provider.interactionDetails(ctx.req, ctx.res);
  const { prompt, session, params } = interaction;
  ctx.respond = false;
  if (prompt.name === 'login') {
    await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: settings.user } });
    return;
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope('openid offline_access');
  const first = !askedBefore.has(session.uid);
  askedBefore.add(session.uid);
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    const granted = first ? scopes.filter((scope) => settings.first_consent.includes(scope)) : scopes;
    grant.addResourceScope(resource, granted.join(' '));
    grant.rejectResourceScope(resource, scopes.filter((scope) => !granted.includes(scope)).join(' '));
  }
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(ctx.req, ctx.res, { consent }, { mergeWithLastSubmission: true });
}

/**
 * MCP clients register for the scopes of the first challenge. oidc-provider refuses those that are a resource's and not its
 * own, and would limit a client to its own for good.
 */
async function registrationWithoutScope(ctx) {
  const chunks = [];
  for await (const chunk of ctx.req) chunks.push(chunk);
  const { scope, ...metadata } = JSON.parse(Buffer.concat(chunks).toString());
  console.log('registration', JSON.stringify({ scope, ...metadata }));
  ctx.req.body = metadata;
}

function serve(keys) {
  const provider = new Provider(issuer, configuration(keys));
  provider.use(async (ctx, next) => {
    if (ctx.path.startsWith('/interaction/')) return interact(provider, ctx);
    if (ctx.path === '/reg' && ctx.method === 'POST') await registrationWithoutScope(ctx);
    await next();
    console.log(ctx.method, ctx.path, ctx.status);
  });
  for (const event of ['server_error', 'grant.error', 'authorization.error', 'registration_create.error', 'introspection.error']) {
    provider.on(event, (_ctx, error) => console.log(event, error.error_description ?? error.stack));
  }
  return provider.callback();
}

// Another set of keys takes another provider; what it remembers (clients, grants) is one for all in this process.
let generation = 1;
let handle = serve(await makeKeys(generation));

const server = http.createServer(async (request, response) => {
  if (request.url !== '/rotate' || request.method !== 'POST') return handle(request, response);
  generation += 1;
  handle = serve(await makeKeys(generation));
  response.writeHead(204).end();
});
server.listen(port, '127.0.0.1');
