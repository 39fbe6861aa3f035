package outputs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
)

// A spool keeps messages in a folder, a file each, in the order in which they came,
// until they are taken away. One process uses it at a time.
type spool struct {
	dir     string
	budget  int64
	release func()

	mu      sync.Mutex
	list    []entry // the oldest first
	size    int64   // of them all
	next    uint64
	busy    uint64 // number of the entry that is being delivered, which is not dropped; 0 is none
	dropped uint64 // for want of room
	torn    uint64 // half written
	wake    chan struct{}
}

// An entry is a file of a spool.
type entry struct {
	number uint64 // from 1
	size   int64
}

const (
	spoolSuffix = ".message"
	spoolBeside = ".new-" // begins the name of a file that is being written
	blockBytes  = 4096    // what a file takes of a disk is a multiple of this
)

// openSpool opens a folder, which it makes. What a process that was killed left half
// written goes.
func openSpool(dir string, budget int64) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	release, err := atomicfile.Lock(filepath.Join(dir, "spool"))
	if err != nil {
		return nil, err
	}
	s := &spool{dir: dir, budget: budget, release: release, next: 1, wake: make(chan struct{}, 1)}
	files, err := os.ReadDir(dir)
	if err != nil {
		release()
		return nil, err
	}
	for _, f := range files {
		name := f.Name()
		if strings.HasPrefix(name, spoolBeside) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				release()
				return nil, err
			}
			s.torn++
			continue
		}
		digits, ok := strings.CutSuffix(name, spoolSuffix)
		number, err := strconv.ParseUint(digits, 10, 64)
		if !ok || err != nil || number == 0 {
			continue
		}
		info, err := f.Info()
		if err != nil {
			release()
			return nil, err
		}
		s.add(entry{number, info.Size()})
	}
	slices.SortFunc(s.list, func(a, b entry) int { return cmp.Compare(a.number, b.number) })
	return s, nil
}

func (s *spool) add(e entry) {
	e.size = onDisk(e.size)
	s.list = append(s.list, e)
	s.size += e.size
	s.next = max(s.next, e.number+1)
}

// onDisk is what a file of a size takes of a disk.
func onDisk(size int64) int64 { return (size + blockBytes - 1) / blockBytes * blockBytes }

func (s *spool) path(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d%s", number, spoolSuffix))
}

// put adds a message, dropping the oldest ones where the budget wants it. A message
// that is larger than the budget, or that the disk has no room for, is dropped itself.
func (s *spool) put(m *message) (err error) {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if err != nil {
			s.dropped++
		}
	}()
	size := onDisk(int64(len(b)))
	if size > s.budget {
		return fmt.Errorf("a message of %d bytes is more than the budget of %d", len(b), s.budget)
	}
	for s.size+size > s.budget {
		i := slices.IndexFunc(s.list, func(e entry) bool { return e.number != s.busy })
		if i < 0 {
			break // of what is being delivered there is one
		}
		if err := os.Remove(s.path(s.list[i].number)); err != nil && !os.IsNotExist(err) {
			return err
		}
		s.forget(i)
		s.dropped++
	}
	f, err := os.CreateTemp(s.dir, spoolBeside+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), s.path(s.next))
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	s.add(entry{s.next, int64(len(b))})
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

func (s *spool) forget(i int) {
	s.size -= s.list[i].size
	s.list = slices.Delete(s.list, i, i+1)
}

// first returns the oldest message, which stays until done is called; nil where there
// is none. Files that are no messages are dropped.
func (s *spool) first() (*message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.list) > 0 {
		number := s.list[0].number
		b, err := os.ReadFile(s.path(number))
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		var m message
		if err == nil && json.Unmarshal(b, &m) == nil && m.ID != "" {
			s.busy = number
			return &m, nil
		}
		if err := os.Remove(s.path(number)); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		s.forget(0)
		s.torn++
	}
	return nil, nil
}

// done takes the message away that first returned.
func (s *spool) done() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.list, func(e entry) bool { return e.number == s.busy })
	if i < 0 {
		return nil
	}
	if err := os.Remove(s.path(s.busy)); err != nil && !os.IsNotExist(err) {
		return err
	}
	s.forget(i)
	s.busy = 0
	return nil
}

// counts returns how many messages wait, and how many were dropped and half written.
func (s *spool) counts() (waiting int, dropped, torn uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list), s.dropped, s.torn
}
