package interop_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
)

// bin is our program under test.
var bin string

// zmqPython is the interpreter of the libzmq peers, Debian's, whatever comes first on the PATH.
const zmqPython = "/usr/bin/python3"

// vpaPython is the one that has Very Powerful Agents. .ci/vpa installs it if need be.
var vpaPython = sync.OnceValues(func() (string, error) {
	var stderr bytes.Buffer
	install := exec.Command("../../.ci/vpa")
	install.Stderr = &stderr
	out, err := install.Output()
	if err != nil {
		return "", fmt.Errorf("Very Powerful Agents, which this test runs against, is not there: %w\n%s", err, &stderr)
	}
	return strings.TrimSpace(string(out)), nil
})

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "agentmesh-interop-")
	if err != nil {
		panic(err)
	}
	if err := prepare(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	leaktest.Main(cleanup{m, dir})
}

// prepare builds the program and finds the interpreters.
func prepare(dir string) error {
	bin = filepath.Join(dir, "agentmesh")
	build := exec.Command("go", "build", "-o", bin, "github.com/agentmesh/agentmesh/cmd/agentmesh")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the program under test: %w\n%s", err, out)
	}
	if out, err := exec.Command(zmqPython, "-c", "import zmq").CombinedOutput(); err != nil {
		return fmt.Errorf("the libzmq peers need python3-zmq (apt-get install -y python3-zmq): %w\n%s", err, out)
	}
	return nil
}

// cleanup removes the program after the tests: leaktest.Main ends the process.
type cleanup struct {
	*testing.M
	dir string
}

// Run runs the tests.
func (c cleanup) Run() int {
	defer os.RemoveAll(c.dir)
	return c.M.Run()
}
