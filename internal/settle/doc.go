// Package settle tells when files that may be on their way have arrived: two looks
// in a row have seen them with the same size and time.
package settle
