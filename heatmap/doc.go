// Package heatmap holds residual maps as values and makes of them what people
// look at and act on: resized and blurred maps, masks, regions, coloured maps,
// overlays and the figure of input, reconstruction, heat map and overlay.
//
// It has SSIM in plain Go as well, for programs without a runtime and as the
// reference that faster implementations are tested against.
//
// What does not live here: computing maps with a model (packages residual and
// runtime), reading images (internal/imageio), measuring maps against a ground
// truth (metrics).
package heatmap
