//go:build chaos

package zeromq_test

import "testing"

func TestChaosSieges(t *testing.T) { testSieges(t, 10_000) }

func TestChaosChurn(t *testing.T) { testChurn(t, 20_000) }
