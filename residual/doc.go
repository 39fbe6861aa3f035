// Package residual says how far a reconstruction is from its input: losses to
// train with, maps of where the two differ, the score of a map.
//
// All of it is functions that append to a package graph graph, so that one
// definition serves the loss, its gradient, the exported model and every
// provider. Images are float32 [N,C,H,W] in [0,1]. Package heatmap has SSIM in
// plain Go, which the tests compare this one with.
//
// # SSIM
//
// Wang, Bovik, Sheikh, Simoncelli: Image quality assessment: from error
// visibility to structural similarity, IEEE TIP 13(4), 2004. Gaussian window of
// 11×11 pixels with σ = 1.5, K₁ = 0.01, K₂ = 0.03, biased covariance, data range
// 1, colour channels apart and then averaged. The loss is taken over the valid
// region, where the window lies inside the image; the map has the image's size,
// the image being continued by half-sample reflection (d c b a | a b c d | d c b a).
package residual
