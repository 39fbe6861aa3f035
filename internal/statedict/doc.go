// Package statedict reads the weights that PyTorch saved: files of torch.save
// that hold a state dict, in the format of today (a zip archive) or that before
// version 1.6. Nothing in a file is executed.
package statedict
