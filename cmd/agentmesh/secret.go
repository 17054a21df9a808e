package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// secret reads a session from standard input when value is "-": an argument shows in the process list.
func secret(cmd *cobra.Command, value string) (string, error) {
	if value == "-" {
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if value = strings.TrimSpace(line); value == "" {
			if err != nil && !errors.Is(err, io.EOF) {
				return "", fmt.Errorf("--session -: %w", err)
			}
			return "", errors.New("--session -: there is no session on standard input")
		}
	}
	if value == "" {
		return "", errors.New("--session is missing; `agentmesh session create --user NAME` prints one")
	}
	return value, nil
}
