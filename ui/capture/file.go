package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File writes the sheet to a new file that only its owner may read, in the format that its name ends with. It is an error
// if the file is there already: nothing is ever written over. It gives the absolute path.
func File(path string, s Sheet) (string, error) {
	f, ok := FormatOf(path)
	if !ok {
		return "", fmt.Errorf("%s: the name must end with .txt, .svg or .png", filepath.Base(path))
	}
	abs, err := Absolute(path)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := Write(&b, s, f); err != nil {
		return "", err
	}
	out, err := os.OpenFile(abs, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return "", fmt.Errorf("%s is there already: choose another name", filepath.Base(abs))
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no folder %s", filepath.Dir(abs))
	case err != nil:
		return "", fmt.Errorf("saving the screen: %w", err)
	}
	_, err = out.Write(b.Bytes())
	if err = errors.Join(err, out.Close()); err != nil {
		// Half a picture helps nobody.
		return "", errors.Join(fmt.Errorf("saving the screen: %w", err), os.Remove(abs))
	}
	return abs, nil
}

// Absolute gives a typed path as an absolute one; ~/ is the home directory.
func Absolute(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		path = filepath.Join(home, rest)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return abs, nil
}
