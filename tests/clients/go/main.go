// golang.org/x/oauth2 with go-oidc, in the versions of Debian's packages, used as their examples do.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"
)

var (
	ctx     = context.Background()
	input   = bufio.NewScanner(os.Stdin)
	options struct {
		Email    string
		Issuer   string
		Key      string
		KeyID    string
		Scenario string
		Scope    string
		Secret   string
		Subject  string
	}
)

type object map[string]any

// check ends the script at an error.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// ask asks the test a question and returns its answer, if that is text.
func ask(question string, subject any) string {
	check(json.NewEncoder(os.Stdout).Encode(object{question: subject}))
	if !input.Scan() {
		log.Fatalf("no answer to %s", question)
	}
	var answer any
	check(json.Unmarshal(input.Bytes(), &answer))
	text, _ := answer.(string)
	return text
}

// configured returns what the discovery document and the test say.
func configured() (*oidc.Provider, *oauth2.Config) {
	provider, err := oidc.NewProvider(ctx, options.Issuer)
	check(err)
	return provider, &oauth2.Config{
		ClientID:     "web",
		ClientSecret: options.Secret,
		Endpoint:     provider.Endpoint(),
		RedirectURL:  "http://127.0.0.1:3000/callback",
		Scopes:       strings.Split(options.Scope, " "),
	}
}

// logIn returns the tokens of a user who logged in.
func logIn(config *oauth2.Config, state string, with ...oauth2.AuthCodeOption) *oauth2.Token {
	back, err := url.Parse(ask("browse", config.AuthCodeURL(state, with...)))
	check(err)
	if got := back.Query().Get("state"); got != state {
		log.Fatalf("state %q came back as %q", state, got)
	}
	token, err := config.Exchange(ctx, back.Query().Get("code"))
	check(err)
	return token
}

// verified returns the verified ID token of a token response.
func verified(provider *oidc.Provider, token *oauth2.Token) *oidc.IDToken {
	raw, _ := token.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: "web"}).Verify(ctx, raw)
	check(err)
	return idToken
}

// session logs in, reads the user's claims, and refreshes through the token source.
func session() any {
	provider, config := configured()
	token := logIn(config, "a+b/c d%2F", oidc.Nonce("N"))
	idToken := verified(provider, token)
	userinfo, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	check(err)

	// An expired token makes the token source refresh; the second call uses what the first received.
	ask("advance", time.Until(token.Expiry).Seconds()+1)
	expired := *token
	expired.Expiry = time.Now().Add(-time.Second)
	source := config.TokenSource(ctx, &expired)
	refreshed, err := source.Token()
	check(err)
	same, err := source.Token()
	check(err)
	response, err := oauth2.NewClient(ctx, source).Get(options.Issuer + "/userinfo")
	check(err)
	return object{
		"sub":      idToken.Subject,
		"nonce":    idToken.Nonce,
		"at_hash":  idToken.AccessTokenHash == "" || idToken.VerifyAccessToken(token.AccessToken) == nil,
		"email":    userinfo.Email,
		"rotated":  refreshed.RefreshToken != token.RefreshToken && refreshed.AccessToken != token.AccessToken,
		"kept":     same.AccessToken == refreshed.AccessToken,
		"again":    verified(provider, refreshed).Subject,
		"userinfo": response.StatusCode,
	}
}

// refused says how x/oauth2 reports a refresh token that is no longer valid.
func refused() any {
	_, config := configured()
	token := logIn(config, "S")
	token.Expiry = time.Now().Add(-time.Second)
	ask("revoke", token.RefreshToken)
	_, err := config.TokenSource(ctx, token).Token()
	refusal, ok := err.(*oauth2.RetrieveError)
	if !ok {
		log.Fatalf("expected a RetrieveError, got %v", err)
	}
	return object{"status": refusal.Response.StatusCode, "body": string(refusal.Body)}
}

// credentials gets a token for the client itself, each time with another style of authentication.
func credentials() any {
	provider, _ := configured()
	scopes := []string{}
	for _, style := range []oauth2.AuthStyle{
		oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams,
	} {
		config := clientcredentials.Config{
			ClientID:     "web",
			ClientSecret: options.Secret,
			TokenURL:     provider.Endpoint().TokenURL,
			Scopes:       []string{"email"},
			AuthStyle:    style,
		}
		source := config.TokenSource(ctx)
		token, err := source.Token()
		check(err)
		scopes = append(scopes, fmt.Sprint(token.Extra("scope")))
		response, err := oauth2.NewClient(ctx, source).Get(options.Issuer + "/resource")
		check(err)
		if response.StatusCode != http.StatusOK {
			log.Fatalf("the resource answered %s", response.Status)
		}
	}
	return scopes
}

// assertion gets tokens for assertions that it signs, and calls the resource with them.
func assertion() any {
	provider, _ := configured()
	config := &jwt.Config{
		Email:        options.Email,
		PrivateKey:   []byte(options.Key),
		PrivateKeyID: options.KeyID,
		Subject:      options.Subject,
		Scopes:       strings.Split(options.Scope, " "),
		TokenURL:     provider.Endpoint().TokenURL,
		Expires:      time.Minute,
	}
	token, err := config.TokenSource(ctx).Token()
	check(err)
	response, err := config.Client(ctx).Get(options.Issuer + "/resource")
	check(err)
	var body object
	check(json.NewDecoder(response.Body).Decode(&body))
	return object{"sub": body["sub"], "scope": token.Extra("scope")}
}

func main() {
	check(json.Unmarshal([]byte(os.Args[len(os.Args)-1]), &options))
	scenarios := map[string]func() any{
		"session": session, "refused": refused, "credentials": credentials, "assertion": assertion,
	}
	check(json.NewEncoder(os.Stdout).Encode(object{"done": scenarios[options.Scenario]()}))
}
