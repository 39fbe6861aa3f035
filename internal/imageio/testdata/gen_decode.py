"""Writes testdata/decode for decode_test.go: python gen_decode.py (needs Pillow).

All files but those named gray* hold the same 24x16 gradient (ramp in the test),
stored in the formats and orientations that Go's encoders do not write.
"""

import pathlib

from PIL import Image

here = pathlib.Path(__file__).parent / "decode"
here.mkdir(exist_ok=True)

rgb = Image.new("RGB", (24, 16))
rgb.putdata([(10 * x, 15 * y, 200 - 5 * x) for y in range(16) for x in range(24)])
gray = rgb.getchannel(0)
JPEG = {"quality": 98, "subsampling": 0}

rgb.save(here / "rgb.jpg", **JPEG)
rgb.save(here / "progressive.jpg", progressive=True, **JPEG)
rgb.convert("CMYK").save(here / "cmyk.jpg", **JPEG)
gray.save(here / "gray.jpg", quality=98)
rgb.save(here / "rgb.bmp")
gray.save(here / "gray.bmp")
rgb.save(here / "lzw.tif", compression="tiff_lzw")
rgb.save(here / "deflate.tif", compression="tiff_adobe_deflate")
gray.save(here / "gray.tif")
rgb.save(here / "lossless.webp", lossless=True)
rgb.save(here / "lossy.webp", quality=100)

# What a camera stores when it is held in orientation 1 to 8.
T = Image.Transpose
STORED = {
    2: T.FLIP_LEFT_RIGHT,
    3: T.ROTATE_180,
    4: T.FLIP_TOP_BOTTOM,
    5: T.TRANSPOSE,
    6: T.ROTATE_90,
    7: T.TRANSVERSE,
    8: T.ROTATE_270,
}
for orientation, transpose in STORED.items():
    exif = Image.Exif()
    exif[0x112] = orientation
    stored = rgb.transpose(transpose)
    stored.save(here / f"exif{orientation}.jpg", exif=exif, **JPEG)
    if orientation == 6:
        stored.save(here / "exif6.png", exif=exif)
        stored.save(here / "exif6.webp", exif=exif, lossless=True)
        stored.save(here / "exif6.tif", tiffinfo=exif)
    if orientation == 8:
        gray.transpose(transpose).save(here / "gray_exif8.png", exif=exif)
