// Package page writes what people open: the report of a run, with the pictures and
// files of its images, the page of training runs and that of suspects. Each page is
// one HTML file, whose template lies beside the Go file that fills it in.
//
// It judges nothing: findings come from package judge, logs from package train.
package page
