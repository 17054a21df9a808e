package session_test

import (
	"context"
	"fmt"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/middleware/session"
)

func Example() {
	server, err := redisx.StartEmbedded("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client, err := redisx.Open(server.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	if err := logInAndOut(client); err != nil {
		fmt.Println(err) // Redis did not answer: nobody gets in
	}
	// Output:
	// true ann [admin]
	// false SessionRevoked
}

func logInAndOut(client *redisx.Client) error {
	store, err := session.NewStore(session.Config{Redis: client})
	if err != nil {
		return err
	}
	ctx := context.Background()
	token, _, err := store.Create(ctx, "ann", time.Hour, "admin")
	if err != nil {
		return err
	}
	verdict, err := store.Verify(ctx, token)
	if err != nil {
		return err
	}
	fmt.Println(verdict.Valid, verdict.Session.User, verdict.Session.Roles)

	if _, err := store.RevokeUser(ctx, "ann"); err != nil {
		return err
	}
	verdict, err = store.Verify(ctx, token)
	fmt.Println(verdict.Valid, verdict.Reason)
	return err
}
