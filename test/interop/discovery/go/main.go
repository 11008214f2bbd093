// Reads Keyturn's discovery document and an access token with go-oidc's default verifier, as an API does.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
)

func main() {
	issuer, resource, token := os.Args[1], os.Args[2], os.Args[3]
	provider, err := oidc.NewProvider(context.Background(), issuer)
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
	for _, audience := range []string{resource, "https://other.example"} {
		verified, err := provider.Verifier(&oidc.Config{ClientID: audience}).Verify(context.Background(), token)
		if err != nil {
			fmt.Println("refused:", err)
			continue
		}
		fmt.Println(verified.Subject)
	}
}
