// Package parts draws what the demo takes pictures of: flanges of turned steel,
// good and with defects, and the masks of these. It knows nothing of files.
package parts
