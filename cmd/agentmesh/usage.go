package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// usageError is a command line that can't be: the exit status is 2, as the shell has it, not 1.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (e usageError) Unwrap() error { return e.error }

// status is the exit status of an error. What fails before a command has begun was asked for wrongly.
func status(err error, begun bool) int {
	var wrong usageError
	if !begun || errors.As(err, &wrong) {
		return 2
	}
	return 1
}

// onRun calls begin when any command below cmd begins: all its flags and arguments have been understood.
func onRun(cmd *cobra.Command, begin func()) {
	for _, c := range cmd.Commands() {
		onRun(c, begin)
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			begin()
			return run(cmd, args)
		}
	}
}
