package curve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// recheck is how old the view of a directory may be: so long a key that was taken away is still trusted.
	recheck = time.Second
	// unsettled is how long after its last change a file is read again each time: the clock of a file system
	// is coarse, and two changes may bear the same time.
	unsettled = 2 * time.Second
)

// TrustedKeys admits the clients whose public certificates are the *.key files of dir, as configure_curve of
// pyzmq does; the user id is the key in Z85. Files that come, change and go count at once, or a second later,
// without a restart: a handshake looks at the directory if none has done so within that second.
//
// It fails when dir cannot be read or has a file that is no certificate. Later such a file trusts nobody, and
// while dir cannot be read everybody is sent away to try again.
func TrustedKeys(dir string) (Authorise, error) {
	t := &trust{dir: dir, turn: make(chan struct{}, 1)}
	if _, err := LoadDirectory(dir); err != nil {
		return nil, err
	}
	return t.authorise, nil
}

// trust is what is known of the files of a directory.
type trust struct {
	dir  string
	turn chan struct{} // capacity 1; whoever has a token in it may use the rest

	checked time.Time
	files   map[string]keyFile
	keys    map[PublicKey]bool
}

type keyFile struct {
	changed time.Time
	size    int64
	key     PublicKey // zero when the file is no certificate
}

func (t *trust) authorise(ctx context.Context, r Request) (string, error) {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-t.turn }()
	if now := time.Now(); t.keys == nil || now.Sub(t.checked) >= recheck {
		if err := t.read(now); err != nil {
			t.keys = nil
			return "", fmt.Errorf("%w: %w", err, &RefusedError{Code: "300"})
		}
	}
	if !t.keys[r.ClientKey] {
		return "", fmt.Errorf("key %s is not trusted: %w", r.ClientKey, &RefusedError{Code: "400"})
	}
	return r.ClientKey.String(), nil
}

// read looks at the directory and reads the files that have changed.
func (t *trust) read(now time.Time) error {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return fmt.Errorf("curve: %w", err)
	}
	files, keys := map[string]keyFile{}, map[PublicKey]bool{}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".key" {
			continue
		}
		path := filepath.Join(t.dir, e.Name())
		info, err := os.Stat(path) // follows links, which Info of e does not
		if err != nil {
			continue // gone meanwhile
		}
		f, known := t.files[e.Name()]
		if !known || !f.changed.Equal(info.ModTime()) || f.size != info.Size() || now.Sub(f.changed) < unsettled {
			f = keyFile{changed: info.ModTime(), size: info.Size()}
			if c, err := LoadCertificate(path); err == nil {
				f.key = c.Public
			}
		}
		files[e.Name()] = f
		if !f.key.IsZero() {
			keys[f.key] = true
		}
	}
	t.files, t.keys, t.checked = files, keys, now
	return nil
}
