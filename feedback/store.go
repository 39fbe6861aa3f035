//go:build !edge && !js

package feedback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

func (o *Options) withDefaults() Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 10 << 30
	}
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	return c
}

func (o *Options) validate() error {
	if o.MaxBytes < 0 {
		return fmt.Errorf("%w: budget: got %d bytes, want more than 0", ErrInput, o.MaxBytes)
	}
	return nil
}

// What lies in a store's folder.
const (
	indexName     = "index.db"
	imagesFolder  = "images"
	strayedFolder = "unmarked" // what lay among the images and nobody marks
)

// schemaVersion is the index's user_version.
const schemaVersion = 1

const schema = `CREATE TABLE IF NOT EXISTS marks (
	image TEXT NOT NULL, file TEXT NOT NULL, bytes INTEGER NOT NULL,
	model TEXT NOT NULL, mark TEXT NOT NULL, version TEXT NOT NULL, hash TEXT NOT NULL, name TEXT NOT NULL,
	score REAL, threshold REAL, said_by TEXT NOT NULL, at INTEGER NOT NULL,
	PRIMARY KEY (image, model)
) STRICT, WITHOUT ROWID`

// A Store keeps marks and their images in a folder. It is safe for concurrent use.
type Store struct {
	dir     string
	options Options
	db      *sql.DB
}

// Open opens the store in a folder, which is made where it is not there. Images that
// nobody marks, as a process that was killed may leave one, are moved to unmarked/;
// marks whose image has gone or has another size are dropped; Options.Logf is told of
// both. Close the store when it is no longer needed. Errors wrap ErrInput, ErrIndex, or
// are the system's.
func Open(ctx context.Context, dir string, o *Options) (*Store, error) {
	s := &Store{dir: dir, options: o.withDefaults()}
	if err := s.options.validate(); err != nil {
		return nil, err
	}
	index := filepath.Join(dir, indexName)
	if s.options.Existing {
		if _, err := os.Stat(index); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s is no folder that keeps feedback", ErrIndex, dir)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, imagesFolder), 0o777); err != nil {
		return nil, fmt.Errorf("feedback: %w", err)
	}
	if _, err := os.Stat(index); errors.Is(err, fs.ErrNotExist) {
		files, err := s.files()
		if err != nil {
			return nil, err
		}
		if len(files) > 0 { // else they would all be taken for strays
			return nil, fmt.Errorf("%w: %s is missing, and there are %d images: put it back, or move the folder away to begin anew", ErrIndex, index, len(files))
		}
	}
	path, err := filepath.Abs(index)
	if err != nil {
		return nil, fmt.Errorf("feedback: %w", err)
	}
	// An immediate transaction keeps other writers away from the images too.
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: "_txlock=immediate&_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"}
	if s.db, err = sql.Open("sqlite", dsn.String()); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrIndex, index, err)
	}
	s.db.SetMaxOpenConns(1)
	if err := s.reconcile(ctx); err != nil {
		s.db.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the use of a store.
func (s *Store) Close() error { return s.db.Close() }

// files are the names among the images, but for those that are being written.
func (s *Store) files() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, imagesFolder))
	if err != nil {
		return nil, fmt.Errorf("feedback: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// change runs what changes the store, one at a time over all processes.
func (s *Store) change(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.indexError(err)
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	return s.indexError(tx.Commit())
}

func (s *Store) indexError(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrIndex, filepath.Join(s.dir, indexName), err)
}

// reconcile makes the schema and brings images and index in line.
func (s *Store) reconcile(ctx context.Context) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		var version int
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return s.indexError(err)
		}
		if version > schemaVersion {
			return fmt.Errorf("%w: %s: got version %d, want %d at most: a later version of this program made it", ErrIndex, filepath.Join(s.dir, indexName), version, schemaVersion)
		}
		for _, statement := range []string{schema, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return s.indexError(err)
			}
		}
		images := filepath.Join(s.dir, imagesFolder)
		if err := atomicfile.CleanFolder(images, extensions()...); err != nil {
			return fmt.Errorf("feedback: %w", err)
		}
		entries, err := s.list(ctx, tx, "")
		if err != nil {
			return err
		}
		known := map[string]bool{}
		for _, e := range entries {
			info, err := os.Stat(e.Path)
			if err == nil && info.Size() == e.Bytes {
				known[filepath.Base(e.Path)] = true
				continue
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("feedback: %w", err)
			}
			s.options.Logf("feedback: the image of a mark (%s, %s, %s) is not there whole: the mark is dropped", e.Model, e.Mark, e.Image)
			if _, err := tx.ExecContext(ctx, "DELETE FROM marks WHERE image = ?", e.Image); err != nil {
				return s.indexError(err)
			}
		}
		files, err := s.files()
		if err != nil {
			return err
		}
		strayed := filepath.Join(s.dir, strayedFolder)
		for _, name := range files {
			if known[name] {
				continue
			}
			if err := os.MkdirAll(strayed, 0o777); err != nil {
				return fmt.Errorf("feedback: %w", err)
			}
			if err := os.Rename(filepath.Join(images, name), filepath.Join(strayed, name)); err != nil {
				return fmt.Errorf("feedback: %w", err)
			}
			s.options.Logf("feedback: nobody marks %s: it is moved to %s", name, strayed)
		}
		return nil
	})
}

var modelName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$`)

// Add stores an image file with a mark; of e, the fields Image, At, Bytes and Path are
// filled in. An entry of the same image, model and mark stays as it is, and is
// returned, with added false. When Add returns, the mark and the image outlast the
// process. Errors wrap ErrInput, ErrFull, ErrIndex, or are the system's.
func (s *Store) Add(ctx context.Context, e Entry, file []byte) (stored *Entry, added bool, err error) {
	if _, err := ParseMark(string(e.Mark)); err != nil {
		return nil, false, err
	}
	if !modelName.MatchString(e.Model) {
		return nil, false, fmt.Errorf("%w: model: got %.128q, want letters, digits, '.', '_' and '-'", ErrInput, e.Model)
	}
	extension := extensionOf(file)
	if extension == "" {
		return nil, false, fmt.Errorf("%w: %.128q: it is no image file that is read", ErrInput, e.Name)
	}
	sum := sha256.Sum256(file)
	e.Image, e.Bytes, e.At = hex.EncodeToString(sum[:]), int64(len(file)), time.Now().UTC().Truncate(time.Millisecond)
	name := e.Image + extension
	e.Path = filepath.Join(s.dir, imagesFolder, name)
	err = s.change(ctx, func(tx *sql.Tx) error {
		all, err := s.list(ctx, tx, e.Image)
		if err != nil {
			return err
		}
		for i := range all {
			if all[i].Model == e.Model && all[i].Mark == e.Mark {
				stored = &all[i]
				return nil
			}
		}
		if len(all) == 0 {
			var taken int64
			if err := tx.QueryRowContext(ctx, "SELECT COALESCE(SUM(bytes), 0) FROM (SELECT MAX(bytes) AS bytes FROM marks GROUP BY image)").Scan(&taken); err != nil {
				return s.indexError(err)
			}
			if e.Bytes > s.options.MaxBytes-taken {
				return fmt.Errorf("%w: %s: its images take %.1f MiB and this one %.1f more, want %.1f at most: remove some, or allow more", ErrFull, s.dir, mib(taken), mib(e.Bytes), mib(s.options.MaxBytes))
			}
		}
		if err := atomicfile.WriteBytes(e.Path, file); err != nil {
			return fmt.Errorf("feedback: %w", err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO marks (image, file, bytes, model, mark, version, hash, name, score, threshold, said_by, at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
			e.Image, name, e.Bytes, e.Model, string(e.Mark), e.Version, e.Hash, e.Name, e.Score, e.Threshold, e.By, e.At.UnixMilli()); err != nil {
			return s.indexError(err)
		}
		stored, added = &e, true
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return stored, added, nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// List returns all entries, the oldest first.
func (s *Store) List(ctx context.Context) ([]Entry, error) {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, s.indexError(err)
	}
	defer tx.Rollback()
	return s.list(ctx, tx, "")
}

// list returns the entries of images whose hash begins with prefix, in hexadecimal.
func (s *Store) list(ctx context.Context, tx *sql.Tx, prefix string) ([]Entry, error) {
	rows, err := tx.QueryContext(ctx, "SELECT image, file, bytes, model, mark, version, hash, name, score, threshold, said_by, at FROM marks WHERE substr(image, 1, ?) = ? ORDER BY at, image, model", len(prefix), prefix)
	if err != nil {
		return nil, s.indexError(err)
	}
	defer rows.Close()
	var entries []Entry
	for rows.Next() {
		var e Entry
		var file string
		var at int64
		if err := rows.Scan(&e.Image, &file, &e.Bytes, &e.Model, &e.Mark, &e.Version, &e.Hash, &e.Name, &e.Score, &e.Threshold, &e.By, &at); err != nil {
			return nil, s.indexError(err)
		}
		e.At, e.Path = time.UnixMilli(at).UTC(), filepath.Join(s.dir, imagesFolder, filepath.Base(file))
		entries = append(entries, e)
	}
	return entries, s.indexError(rows.Err())
}

// leastPrefix is how many digits of a hash name an image at the least.
const leastPrefix = 8

// Remove removes what is said of an image, named by its hash or the first 8 or more
// digits of it: by a model's name that mark alone, by "" all. It returns the marks, and
// with the last of an image's its file goes. Errors wrap ErrInput where several begin
// so, ErrNone where none does, ErrIndex, or are the system's.
func (s *Store) Remove(ctx context.Context, image, model string) (removed []Entry, err error) {
	image = strings.ToLower(image)
	if len(image) < leastPrefix || strings.Trim(image, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("%w: image: got %.80q, want %d or more hexadecimal digits of its hash", ErrInput, image, leastPrefix)
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		if removed, err = s.list(ctx, tx, image); err != nil {
			return err
		}
		if model != "" {
			removed = slices.DeleteFunc(removed, func(e Entry) bool { return e.Model != model })
		}
		if len(removed) == 0 {
			return fmt.Errorf("%w: %.80q", ErrNone, image)
		}
		for _, e := range removed {
			if e.Image != removed[0].Image {
				return fmt.Errorf("%w: image: %.80q begins the hashes of several: give more digits", ErrInput, image)
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM marks WHERE image = ? AND model = ?", e.Image, e.Model); err != nil {
				return s.indexError(err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Only now: an image that nobody marks any more is put right when the store is
	// opened, a mark without its image would be lost.
	return removed, s.change(ctx, func(tx *sql.Tx) error {
		left, err := s.list(ctx, tx, removed[0].Image)
		if err != nil || len(left) > 0 { // by another model, or anew
			return err
		}
		if err := os.Remove(removed[0].Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("feedback: %w", err)
		}
		return nil
	})
}

// types are the media types of the images that are read, with their extensions.
var types = map[string]string{
	"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/bmp": ".bmp", "image/webp": ".webp", "image/tiff": ".tif",
}

func extensions() []string {
	var list []string
	for _, e := range types {
		list = append(list, e)
	}
	return list
}

// extensionOf tells the extension of an image file from how it begins, "" for others.
func extensionOf(file []byte) string {
	for _, magic := range []string{"II*\x00", "MM\x00*", "II+\x00", "MM\x00+"} { // BigTIFF is the last two
		if bytes.HasPrefix(file, []byte(magic)) {
			return types["image/tiff"]
		}
	}
	return types[http.DetectContentType(file)]
}
