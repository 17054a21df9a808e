package archtest_test

import (
	"os"
	"testing"

	"github.com/agentmesh/agentmesh/internal/archtest"
	"github.com/agentmesh/agentmesh/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// TestHouse holds this module to its rules.
func TestHouse(t *testing.T) {
	t.Parallel()
	tree, err := archtest.Read(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Files) < 30 {
		t.Fatalf("read %d files; this is not the whole module", len(tree.Files))
	}
	for name, findings := range map[string][]string{
		"imports":       tree.Imports(archtest.House),
		"skips":         tree.Skips(),
		"sleeps":        tree.Sleeps(),
		"docs":          tree.Undocumented(),
		"leak checks":   tree.Unguarded(),
		"machine paths": tree.MachinePaths(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, f := range findings {
				t.Error(f)
			}
		})
	}
}
