// Package regular reads files and nothing else: a pipe that nobody writes to would
// be waited for, a device such as /dev/zero be read for ever.
package regular
