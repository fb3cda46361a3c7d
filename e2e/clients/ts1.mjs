// Drives the first generation of the TypeScript SDK (2025-11-25): a script on stdin, what came of it on stdout; as sdk1.py,
// with the whole OAuth flow.
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { run } from './oauth.mjs';

await run({
  isUnauthorized: (error) => error instanceof UnauthorizedError,
  open: (url, { application, fetch }) => {
    const transport = new StreamableHTTPClientTransport(url, { authProvider: application, fetch });
    const client = new Client({ name: 'ts1', version: '1' });
    return { client, transport, protocol: () => transport.protocolVersion };
  },
  finish: (transport, callback) => transport.finishAuth(callback.get('code')),
});
