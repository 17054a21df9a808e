package session_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/middleware/session"
)

func Example() {
	server, err := redisx.StartEmbedded("127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := redisx.Open(server.URL())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	store, err := session.NewStore(session.Config{Redis: client})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	token, _, err := store.Create(ctx, "ann", time.Hour, "admin")
	if err != nil {
		log.Fatal(err)
	}
	verdict, err := store.Verify(ctx, token)
	if err != nil {
		log.Fatal(err) // Redis did not answer: nobody gets in
	}
	fmt.Println(verdict.Valid, verdict.Session.User, verdict.Session.Roles)

	if _, err := store.RevokeUser(ctx, "ann"); err != nil {
		log.Fatal(err)
	}
	verdict, _ = store.Verify(ctx, token)
	fmt.Println(verdict.Valid, verdict.Reason)
	// Output:
	// true ann [admin]
	// false SessionRevoked
}
