// Package feedback keeps what people say of a model's verdicts: that an image was a
// false alarm, or a miss.
//
// A [Store] is a folder. Images lie in images/, each under the SHA-256 of its bytes,
// written beside and then renamed; index.db, an SQLite database in WAL mode, says what
// was said of them. Any number of processes may use one; they write in turns. An image
// has one mark a model, so that saying the same again changes nothing, and saying the
// contrary replaces it. A process that is killed at any moment leaves every mark that
// was acknowledged: [Open] brings the folder in line with the index. Builds with the tag
// edge, and for js, have no Store.
//
// What is not here: who may say so (package serve), and what it is used for, to set
// thresholds and to train (cmd/anomaly).
package feedback
