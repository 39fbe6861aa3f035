// Package text reads text files as other programs write them: UTF-8 with or
// without a byte order mark, UTF-16, and any ends of lines.
package text
