/** Schemas of the forms that the public listener receives, for its OpenAPI document. */
import { z } from 'zod';
import { accessKeyType, accessTokenType, exchangeGrantType } from '../tokens/exchange-names.ts';

export const authentication = {
  client_id: z.string().optional().meta({ description: 'The Client ID. Not needed with HTTP Basic.' }),
  client_secret: z.string().optional().meta({ description: 'The client secret, for `client_secret_post`.' }),
  client_assertion_type: z
    .literal('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    .optional()
    .meta({ description: 'For `private_key_jwt` (RFC 7523 §2.2).' }),
  client_assertion: z.string().optional().meta({ description: 'The signed JWT, for `private_key_jwt`.' }),
  client_instance: z.string().max(128).optional().meta({
    description: 'A name of the calling instance, by which operators recognise it. Or the header `Keyturn-Instance`.',
  }),
};
export const accessKey = z.string().optional().meta({ description: 'The access key of a contact.' });
export const resource = z
  .string()
  .optional()
  .meta({ description: 'The resource server that the token is for (RFC 8707).' });
export const token = z
  .string()
  .meta({ description: 'The access token.', example: 'kta_3kTz9vQw5mXb1nLr7pHs0cJd2fGy8aUe' });

export const tokenForm = z.object({
  grant_type: z.enum(['client_credentials', exchangeGrantType]).meta({
    description:
      'The grant. The exchange (RFC 8693) is for resource servers, and for access keys, which are the only credential of their request.',
  }),
  scope: z.string().optional().meta({
    description: 'Scopes, separated by spaces. The default is all that the client and the access key allow.',
  }),
  resource,
  access_key: accessKey,
  subject_token: z
    .string()
    .optional()
    .meta({ description: 'Exchange: the access key, or the token that the API received.' }),
  subject_token_type: z
    .enum([accessKeyType, accessTokenType])
    .optional()
    .meta({ description: 'Exchange: what is exchanged.' }),
  ...authentication,
});

export const introspectionForm = z.object({
  token,
  access_key: accessKey,
  client_address: z.string().optional().meta({
    description: 'The IP address that the request to the API came from. Access keys can be limited to networks.',
    example: '203.0.113.7',
  }),
  used_scope: z.string().optional().meta({
    description: 'The scopes that the request needed, to find permissions that are not used.',
  }),
  ...authentication,
});
