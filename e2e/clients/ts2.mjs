// Drives the second generation of the TypeScript SDK (2026-07-28 and older): a script on stdin, what came of it on stdout;
// as sdk2.py, with the whole OAuth flow. With `dpop` in the script's `oauth` tokens are bound to a key made on the spot.
import { Client, DpopSession, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { run } from './oauth.mjs';

await run({
  isUnauthorized: (error) => error instanceof UnauthorizedError || error.cause instanceof UnauthorizedError,
  prepare: async (application, { dpop }) => {
    if (!dpop) return;
    const session = await DpopSession.create({ alg: 'ES256' });
    application.dpop = () => session;
  },
  open: (url, { mode, application, fetch }) => {
    const transport = new StreamableHTTPClientTransport(url, { authProvider: application, fetch });
    const client = new Client({ name: 'ts2', version: '1' }, { versionNegotiation: { mode } });
    return { client, transport, protocol: () => client.getNegotiatedProtocolVersion() };
  },
  // All of the callback: the SDK checks `iss` in it (RFC 9207).
  finish: (transport, callback) => transport.finishAuth(callback),
});
