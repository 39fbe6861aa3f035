package outputs

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/internal/text"
)

// A target is an output's URL in its parts.
type target struct {
	kind    string // as it is written before the colon
	rest    string // behind it, without what stands behind the question mark
	name    string // the URL without secrets, for logs
	wants   wants  // what the user wants of what there is; the sink's maker takes away what it does not take
	options map[string]string
	used    map[string]bool
}

// kinds are the outputs that there are by the scheme of their URLs.
var kinds = map[string]func(t *target) (sink, error){
	"webhook+http":  newWebhook,
	"webhook+https": newWebhook,
	"mqtt":          newMQTT,
	"mqtts":         newMQTT,
	"opcua":         newOPCUA,
	"rejects":       newRejects,
}

// newOutput returns the output of a URL, and what its folder in the spool is called.
func newOutput(raw string) (out *output, folder string, err error) {
	kind, rest, ok := strings.Cut(raw, ":")
	open := kinds[kind]
	if !ok || open == nil {
		return nil, "", fmt.Errorf("%w: got %.40q, want webhook+https://…, mqtt://…, opcua://… or rejects:DIR", ErrInput, kind)
	}
	rest, query, _ := strings.Cut(rest, "?")
	t := &target{kind: kind, rest: rest, options: map[string]string{}, used: map[string]bool{}}
	for item := range strings.SplitSeq(query, "&") {
		if item == "" {
			continue
		}
		key, value, _ := strings.Cut(item, "=") // not url.ParseQuery: OPC UA's nodes have semicolons
		if value, err = url.PathUnescape(value); err != nil {
			return nil, "", fmt.Errorf("%w: %s: %s: %w", ErrInput, kind, key, err)
		}
		if _, twice := t.options[key]; twice && !t.passes(key) {
			return nil, "", fmt.Errorf("%w: %s: %s: given twice", ErrInput, kind, key)
		}
		t.options[key] = value
	}
	if kind == "rejects" && rest != "" {
		if t.rest, err = filepath.Abs(strings.TrimPrefix(rest, "//")); err != nil {
			return nil, "", err
		}
	}
	// A spool belongs to the other side, however that is spoken to.
	sum := sha256.Sum256([]byte(kind + ":" + t.rest + t.passed(query)))
	t.name = kind + ":" + t.rest
	if u, err := url.Parse("x:" + t.rest); kind != "rejects" && err == nil { // of whose path, too, may be a secret
		t.name = fmt.Sprintf("%s://%s/…%x", kind, u.Host, sum[:4])
	}
	folder = fmt.Sprintf("%.60s-%x", strings.Trim(notPlain.ReplaceAllString(t.name, "-"), "-"), sum[:4])
	out = &output{name: t.name, images: kind == "rejects"}
	switch only := t.option("only", ""); only {
	case "":
		t.wants = wants{true, true, true}
	case "rejects":
		t.wants.rejects = true
	case "drift":
		t.wants.drift = true
	default:
		return nil, "", fmt.Errorf("%w: %s: only: got %q, want rejects or drift", ErrInput, t.name, only)
	}
	t.rest += t.passed(query)
	if out.sink, err = open(t); err != nil {
		return nil, "", fmt.Errorf("%w: %s: %w", ErrInput, t.name, err)
	}
	if out.wants = t.wants; out.wants == (wants{}) {
		out.sink.close()
		return nil, "", fmt.Errorf("%w: %s: only=%s leaves nothing that it takes", ErrInput, t.name, t.option("only", ""))
	}
	for key := range t.options {
		if !t.used[key] && !t.passes(key) {
			out.sink.close()
			return nil, "", fmt.Errorf("%w: %s: unknown option %.40q", ErrInput, t.name, key)
		}
	}
	return out, folder, nil
}

var notPlain = regexp.MustCompile(`[^A-Za-z0-9.]+`)

// own are the options of webhooks: all others behind the question mark are for the
// other side, which may know its clients by them.
var own = []string{"only", "secret-file", "secret-env", "token-file", "token-env"}

// passes reports whether an option is none, but part of the URL that is asked for.
func (t *target) passes(key string) bool {
	return strings.HasPrefix(t.kind, "webhook+") && !slices.Contains(own, key)
}

// passed returns what of a query is for the other side, with its question mark.
func (t *target) passed(query string) string {
	var items []string
	for item := range strings.SplitSeq(query, "&") {
		if key, _, _ := strings.Cut(item, "="); item != "" && t.passes(key) {
			items = append(items, item)
		}
	}
	if items == nil {
		return ""
	}
	return "?" + strings.Join(items, "&")
}

// option returns an option, or a default.
func (t *target) option(key, otherwise string) string {
	t.used[key] = true
	if value, ok := t.options[key]; ok {
		return value
	}
	return otherwise
}

// secret returns what the file in the option KEY-file or the environment variable in KEY-env
// holds, without the end of its line; "" where neither is given.
func (t *target) secret(key string) (string, error) {
	path, variable := t.option(key+"-file", ""), t.option(key+"-env", "")
	var secret string
	switch {
	case path != "" && variable != "":
		return "", fmt.Errorf("%s-file and %s-env: want one of them", key, key)
	case path != "":
		s, err := text.Read(path)
		if err != nil {
			return "", fmt.Errorf("%s-file: %w", key, err)
		}
		secret = strings.TrimRight(s, "\r\n")
	case variable != "":
		secret = os.Getenv(variable)
	default:
		return "", nil
	}
	if secret == "" {
		return "", fmt.Errorf("%s: got nothing in %s%s", key, path, variable)
	}
	return secret, nil
}

// url parses the rest as a URL of another scheme, and refuses a password in it, which
// the list of processes and the history of a shell would have.
func (t *target) url(scheme string) (*url.URL, error) {
	u, err := url.Parse(scheme + ":" + t.rest)
	if err != nil {
		return nil, fmt.Errorf("got no URL") // err has all of it
	}
	if _, has := u.User.Password(); has {
		return nil, fmt.Errorf("got a password in the URL: want it in a file or the environment")
	}
	if u.Hostname() == "" || u.Fragment != "" {
		return nil, fmt.Errorf("want a host, and no #")
	}
	return u, nil
}
