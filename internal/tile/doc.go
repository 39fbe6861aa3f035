// Package tile cuts images into tiles that overlap, and says what each place of a tile
// counts where their maps are put together again. It knows nothing of models.
package tile
