// Command article does what the article that the project began with did (make
// article): it trains its network on MNIST and on three of MVTec AD's categories,
// with a squared error and with SSIM as loss, draws its figures, and measures what
// it did not. What was trained and measured is kept and not done again.
//
// Everything is done by the command anomaly, as anybody would. Figures that show
// data of others stay in the output folder: their licences are not the project's.
package main
