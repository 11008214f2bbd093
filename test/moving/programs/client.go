// Gets a token with golang.org/x/oauth2 and prints it. AUDIENCE is what Auth0 requires.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	styles := map[string]oauth2.AuthStyle{
		"client_secret_basic": oauth2.AuthStyleInHeader,
		"client_secret_post":  oauth2.AuthStyleInParams,
	}
	config := clientcredentials.Config{
		ClientID:     os.Getenv("CLIENT_ID"),
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		TokenURL:     os.Getenv("TOKEN_URL"),
		Scopes:       strings.Fields(os.Getenv("SCOPE")),
		AuthStyle:    styles[os.Getenv("AUTH_METHOD")],
	}
	if audience := os.Getenv("AUDIENCE"); audience != "" {
		config.EndpointParams = url.Values{"audience": {audience}}
	}
	token, err := config.Token(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(token.AccessToken)
}
