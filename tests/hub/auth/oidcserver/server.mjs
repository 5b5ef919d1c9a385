// A real OpenID Connect provider for tests, which misbehaves when told to. The settings come in one argument, as JSON.
import { createServer } from 'node:http';
import { SignJWT, decodeJwt, exportJWK, exportSPKI, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const { port, hub, secret } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const state = { accounts: {}, clock: 0, life: 3600, forge: null, broken: null };

const now = Date.now;
Date.now = () => now() + state.clock * 1000;

const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
const another = await generateKeyPair('RS256', { extractable: true });
const jwk = { ...(await exportJWK(privateKey)), kid: 'today', alg: 'RS256', use: 'sig' };

const provider = new Provider(issuer, {
  jwks: { keys: [jwk] },
  clients: [
    {
      client_id: 'quantdesk',
      client_secret: secret,
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [`${hub}/hub/oauth_callback`],
      post_logout_redirect_uris: [`${hub}/hub/login`],
    },
  ],
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
  cookies: { keys: ['for tests'] },
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  pkce: { required: () => true },
  ttl: { AccessToken: () => state.life, AuthorizationCode: 60, IdToken: 3600, RefreshToken: 86400, Session: 86400, Grant: 86400, Interaction: 86400 },
  issueRefreshToken: async () => true,
  rotateRefreshToken: true,
  findAccount: (ctx, id) => {
    const account = state.accounts[id];
    return account && { accountId: id, claims: () => ({ sub: id, ...account }) };
  },
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid profile email offline_access');
    await grant.save();
    return grant;
  },
});

async function forged(token) {
  const claims = { ...decodeJwt(token), ...state.forge.claims };
  const key = state.forge.key === 'another' ? another.privateKey : privateKey;
  if (state.forge.key === 'none') {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    return `${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.`;
  }
  if (state.forge.key === 'shared') {
    // The classic: the public key as the secret of a MAC.
    const secret = Buffer.from(await exportSPKI(publicKey));
    return new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'today' }).sign(secret);
  }
  return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'today' }).sign(key);
}

provider.use(async (ctx, next) => {
  if (state.broken && ctx.path.startsWith(state.broken.path)) {
    ctx.status = state.broken.status;
    ctx.body = state.broken.body;
    return;
  }
  await next();
  if (state.forge && ctx.path === '/token' && ctx.body?.id_token) {
    ctx.body = { ...ctx.body, id_token: await forged(ctx.body.id_token) };
  }
});

const answer = provider.callback();
createServer((request, response) => {
  if (request.url !== '/tell') return answer(request, response);
  let text = '';
  request.on('data', (part) => (text += part));
  request.on('end', () => {
    Object.assign(state, JSON.parse(text));
    response.end('{}');
  });
}).listen(port, '127.0.0.1', () => console.log('ready'));
