// Package room keeps memory that is needed again and again.
package room
