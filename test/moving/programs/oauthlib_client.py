"""Gets a token with requests-oauthlib and prints it. AUDIENCE is what Auth0 requires."""
import os

from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

client_id, client_secret = os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]
scope, audience = os.environ["SCOPE"].split(), os.environ.get("AUDIENCE")
session = OAuth2Session(client=BackendApplicationClient(client_id=client_id, scope=scope))
if os.environ["AUTH_METHOD"] == "client_secret_basic":
    way = {"auth": HTTPBasicAuth(client_id, client_secret)}
else:
    way = {"client_secret": client_secret, "include_client_id": True}
more = {"audience": audience} if audience else {}
print(session.fetch_token(os.environ["TOKEN_URL"], **way, **more)["access_token"])
