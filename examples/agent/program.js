// A program whose secret `keyturn agent` rotates. It reads its credentials again when it receives SIGHUP.
import { readFileSync, writeFileSync } from 'node:fs';

const { ISSUER, CREDENTIALS_FILE, PID_FILE, SECONDS_BETWEEN_TOKENS = '60' } = process.env;
let credentials = read();

process.on('SIGHUP', () => {
  credentials = read();
  console.log('read the credentials again');
  void useToken();
});

await useToken();
// Before the handler above exists, the signal would end the program.
writeFileSync(PID_FILE, `${process.pid}\n`);
setInterval(useToken, Number(SECONDS_BETWEEN_TOKENS) * 1_000);

function read() {
  return JSON.parse(readFileSync(CREDENTIALS_FILE, 'utf8'));
}

async function useToken() {
  const { client_id: id, client_secret: secret } = credentials;
  const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
  try {
    const response = await fetch(`${ISSUER}/oauth2/token`, {
      method: 'POST',
      headers: { Authorization: `Basic ${Buffer.from(pair).toString('base64')}`, 'User-Agent': 'example-program' },
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
    });
    console.log(`token request answered with ${response.status}`);
  } catch (error) {
    console.log(`token request failed: ${error.message}`);
  }
}
