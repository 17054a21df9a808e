package main

import (
	"bufio"
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// secret reads a session from standard input when value is "-": an argument shows in the process list.
func secret(cmd *cobra.Command, value string) (string, error) {
	if value == "-" {
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if value = strings.TrimSpace(line); value == "" {
			return "", errors.Join(errors.New("--session -: there is no session on standard input"), err)
		}
	}
	if value == "" {
		return "", errors.New("--session is missing; `agentmesh session create --user NAME` prints one")
	}
	return value, nil
}
