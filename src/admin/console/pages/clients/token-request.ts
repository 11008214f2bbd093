import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { basicUser, shellQuote } from '../../../../text/quote-text.ts';
import { t } from '../../languages/translate.ts';
import { codeBlock } from '../../parts/elements.ts';

/**
 * Shows how to request a token (RFC 6749 §4.4.2): a curl command with the given credentials, and programs in five
 * languages.
 */
export function tokenRequest(
  tokenUrl: string,
  credentials: { clientId: string; clientSecret: string; needsAccessKey: boolean },
): VNode {
  const { clientId, clientSecret, needsAccessKey } = credentials;
  const accessKey = needsAccessKey ? ` \\\n  -d access_key="$ACCESS_KEY"` : '';
  const user = shellQuote(basicUser(clientId, clientSecret));
  const curl = `curl -sS -u ${user} \\\n  -d grant_type=client_credentials${accessKey} \\\n  ${shellQuote(tokenUrl)}`;
  return html`<section class="card" aria-labelledby="ask">
    <h2 id="ask">${t('Request a token')}</h2>
    ${codeBlock({ id: 'curl', label: t('curl command'), code: curl })}
    <p class="hint">
      ${t('In a program, read both values from the environment or a secret store, and never write them into the source code. Use a token until it expires; do not request a new one for every call.')}
    </p>
    <div class="snippets">
      ${snippets(tokenUrl, needsAccessKey).map(
        ({ language, code }, index) =>
          html`<details name="snippet">
            <summary>${language}</summary>
            ${codeBlock({ id: `snippet-${index}`, label: t('{language} example', { language }), code })}
          </details>`,
      )}
    </div>
  </section>`;
}

function snippets(tokenUrl: string, needsAccessKey: boolean): { language: string; code: string }[] {
  const when = (text: string) => (needsAccessKey ? text : '');
  // A URL is ASCII, so its JSON string is a valid literal in JavaScript, Python, Go and C#.
  const url = JSON.stringify(tokenUrl);
  const urlInPhp = `'${tokenUrl.replace(/[\\']/g, '\\$&')}'`;
  return [
    {
      language: 'Node.js',
      code: `const { CLIENT_ID, CLIENT_SECRET${when(', ACCESS_KEY')} } = process.env;
const answer = await fetch(${url}, {
  method: 'POST',
  headers: { Authorization: \`Basic \${btoa([CLIENT_ID, CLIENT_SECRET].map(encodeURIComponent).join(':'))}\` },
  body: new URLSearchParams({ grant_type: 'client_credentials'${when(', access_key: ACCESS_KEY')} }),
});
if (!answer.ok) throw new Error(await answer.text());
const { access_token, expires_in } = await answer.json();`,
    },
    {
      language: 'Python',
      code: `import os, requests
from urllib.parse import quote

answer = requests.post(
    ${url},
    auth=(quote(os.environ["CLIENT_ID"], safe=""), quote(os.environ["CLIENT_SECRET"], safe="")),
    data={"grant_type": "client_credentials"${when(', "access_key": os.environ["ACCESS_KEY"]')}},
    timeout=10,
)
answer.raise_for_status()
access_token = answer.json()["access_token"]`,
    },
    {
      language: 'Go',
      code: `// golang.org/x/oauth2/clientcredentials requests a new token when the last one expires.
config := clientcredentials.Config{
	ClientID:     os.Getenv("CLIENT_ID"),
	ClientSecret: os.Getenv("CLIENT_SECRET"),
	TokenURL:     ${url},
	AuthStyle:    oauth2.AuthStyleInHeader,${when('\n\tEndpointParams: url.Values{"access_key": {os.Getenv("ACCESS_KEY")}},')}
}
client := config.Client(context.Background())`,
    },
    {
      language: 'PHP',
      code: `$request = curl_init(${urlInPhp});
curl_setopt_array($request, [
    CURLOPT_USERPWD => rawurlencode(getenv('CLIENT_ID')) . ':' . rawurlencode(getenv('CLIENT_SECRET')),
    CURLOPT_POSTFIELDS => http_build_query(['grant_type' => 'client_credentials'${when(", 'access_key' => getenv('ACCESS_KEY')")}]),
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_FAILONERROR => true,
]);
$accessToken = json_decode(curl_exec($request), true)['access_token'];`,
    },
    {
      language: 'C#',
      code: `using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;

var basic = Convert.ToBase64String(Encoding.UTF8.GetBytes(
    Uri.EscapeDataString(Environment.GetEnvironmentVariable("CLIENT_ID")!) + ":" +
    Uri.EscapeDataString(Environment.GetEnvironmentVariable("CLIENT_SECRET")!)));
using var http = new HttpClient();
http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", basic);
using var answer = await http.PostAsync(${url}, new FormUrlEncodedContent(new Dictionary<string, string?>
{
    ["grant_type"] = "client_credentials",${when('\n    ["access_key"] = Environment.GetEnvironmentVariable("ACCESS_KEY"),')}
}));
answer.EnsureSuccessStatusCode();
var json = await answer.Content.ReadFromJsonAsync<JsonElement>();
var accessToken = json.GetProperty("access_token").GetString();`,
    },
  ];
}
