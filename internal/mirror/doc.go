// Package mirror continues images beyond their border by half-sample reflection:
// c b a | a b c d | d c b.
package mirror
