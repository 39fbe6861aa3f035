// Package atomicfile writes files whole or not at all: beside their place, then
// renamed into it.
package atomicfile
