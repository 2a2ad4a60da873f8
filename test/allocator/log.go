package allocator

import (
	"bytes"
	"io"
	"os"
)

// tailBytes is how much of a log an error shows.
const tailBytes = 4 << 10

// log is the file with a process's output. Restarts append to one file, so each
// process remembers where its own part begins.
type log struct {
	path      string
	temporary bool
	offset    int64 // bytes
}

// open opens the file for the child to write to; "" makes a temporary one.
func (l *log) open(path string) (*os.File, error) {
	if path == "" {
		file, err := os.CreateTemp("", "allocator-*.log")
		if err == nil {
			l.path, l.temporary = file.Name(), true
		}
		return file, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	l.path, l.offset = path, info.Size()
	return file, nil
}

// read returns what the process wrote, or nothing if the file is gone.
func (l *log) read() []byte {
	file, err := os.Open(l.path)
	if err != nil {
		return nil
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, l.offset, 1<<40))
	if err != nil {
		return nil
	}
	return text
}

// tail returns the end of the log, from the start of a line.
func (l *log) tail() string {
	text := l.read()
	if len(text) <= tailBytes {
		return string(text)
	}
	text = text[len(text)-tailBytes:]
	if _, rest, found := bytes.Cut(text, []byte("\n")); found {
		text = rest
	}
	return string(text)
}

// remove deletes a temporary file.
func (l *log) remove() {
	if l.temporary {
		_ = os.Remove(l.path) // a left-over in the temporary folder is all that can go wrong
	}
}
