// Package atomicfile writes files whole or not at all: beside their place, then
// renamed into it, and keeps others from writing them meanwhile.
package atomicfile
