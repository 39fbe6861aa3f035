"""Writes testdata/pillow for pillow_test.go: python gen_pillow.py (needs Pillow).

Each image is stored as a plant's cameras, scanners and tools store it, under its
mode and format; <name>.golden.png is what Pillow makes of it: upright, RGB or
grey, 8 bit (of 16 the upper 8), transparency over black, colour profiles ignored.
"""

import pathlib
import struct
import zlib

from PIL import Image, ImageChops, ImageCms, ImageOps

here = pathlib.Path(__file__).parent / "pillow"
here.mkdir(exist_ok=True)
W, H = 37, 23

# Smooth, as surfaces are, with an edge, and different in all channels.
rgb = Image.new("RGB", (W, H))
rgb.putdata([((5 * x + y * y // 9) % 256, 40 + 7 * y, 230 - 3 * x - 2 * y if x < 20 else 60 + x) for y in range(H) for x in range(W)])
gray = rgb.getchannel(0)
alpha = Image.new("L", (W, H))
alpha.putdata([min(255, 12 * (x + y) // 2) for y in range(H) for x in range(W)])
rgba = rgb.copy()
rgba.putalpha(alpha)
gray16 = Image.new("I;16", (W, H))
gray16.putdata([(1500 * x + 37 * y) % 65536 for y in range(H) for x in range(W)])
paletted = rgb.quantize(31)
cmyk = rgb.convert("CMYK")
icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def save(name, im, **options):
    path = here / name
    im.save(path, **options)
    golden(path)


def golden(path):
    im = ImageOps.exif_transpose(Image.open(path))
    if im.mode.startswith("I;16"):
        raw = im.tobytes()
        upper = raw[::2] if im.mode == "I;16B" else raw[1::2]
        im = Image.frombytes("L", im.size, upper)
    if "transparency" in im.info or im.mode in ("LA", "RGBA", "PA"):
        im = im.convert("RGBA")
        bands = [ImageChops.multiply(b, im.getchannel("A")) for b in im.split()[:3]]
        im = Image.merge("RGB", bands)
    im = im.convert("L" if im.mode in ("1", "L") else "RGB")
    im.save(path.with_name(path.name + ".golden.png"))


save("gray1.png", gray.convert("1"))
save("gray8.png", gray)
save("gray16.png", gray16)
save("gray_alpha.png", Image.merge("LA", (gray, alpha)))
save("palette.png", paletted)
save("palette_transparent.png", paletted, transparency=3)
save("rgb.png", rgb, icc_profile=icc)
save("rgba.png", rgba)

save("gray.jpg", gray, quality=90)
save("gray_progressive.jpg", gray, quality=90, progressive=True)
for sampling in ("444", "422", "420"):
    save(f"rgb{sampling}.jpg", rgb, quality=90, subsampling={"444": 0, "422": 1, "420": 2}[sampling])
save("progressive420.jpg", rgb, quality=90, subsampling=2, progressive=True, icc_profile=icc)
save("cmyk.jpg", cmyk, quality=95, subsampling=0)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x112] = orientation
    save(f"exif{orientation}.jpg", gray, quality=90, exif=exif)

save("gray1_g4.tif", gray.convert("1"), compression="group4")
for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
    tag = compression.removeprefix("tiff_").removeprefix("adobe_")
    strips = {"compression": compression, "tiffinfo": {278: 5}}  # rows per strip
    save(f"gray8_{tag}.tif", gray, **strips)
    save(f"gray16_{tag}.tif", gray16, **strips)
    save(f"rgb_{tag}.tif", rgb, **strips)
    save(f"cmyk_{tag}.tif", cmyk, **strips)
save("rgb_lzw_predictor.tif", rgb, compression="tiff_lzw", tiffinfo={317: 2})
save("cmyk_deflate_predictor.tif", cmyk, compression="tiff_adobe_deflate", tiffinfo={317: 2})
save("palette.tif", paletted)
save("rgba.tif", rgba)

save("gray1.bmp", gray.convert("1"))
save("palette.bmp", paletted)
save("rgb.bmp", rgb)

save("rgb_lossy.webp", rgb, quality=90, icc_profile=icc)
save("rgb_lossless.webp", rgb, lossless=True)
save("rgba_lossless.webp", rgba, lossless=True, exact=True)
save("rgba_lossy.webp", rgba, quality=90)

save("palette.gif", paletted)
save("transparent.gif", paletted, transparency=3)


def tiled(name, im, order, compressed):
    """Writes a TIFF of 16x16 tiles, which Pillow reads only."""
    n = len(im.getbands())
    padded = im.crop((0, 0, (W + 15) // 16 * 16, (H + 15) // 16 * 16))
    tiles = [
        padded.crop((x, y, x + 16, y + 16)).tobytes() for y in range(0, padded.height, 16) for x in range(0, padded.width, 16)
    ]
    if compressed:
        tiles = [zlib.compress(t) for t in tiles]
    short = {1: "B", 3: "H", 4: "I"}
    data = b""  # behind the header
    offsets = []
    for t in tiles:
        offsets.append(8 + len(data))
        data += t + b"\0" * (len(t) % 2)
    entries = [
        (256, 3, [W]), (257, 3, [H]), (258, 3, [8] * n), (259, 3, [8 if compressed else 1]),
        (262, 3, [{1: 1, 3: 2, 4: 5}[n]]), (277, 3, [n]), (322, 3, [16]), (323, 3, [16]),
        (324, 4, offsets), (325, 4, [len(t) for t in tiles]),
    ]  # fmt: skip
    directory = b""
    for tag, kind, values in entries:
        raw = struct.pack(f"{order}{len(values)}{short[kind]}", *values)
        if len(raw) > 4:
            at = 8 + len(data)
            data += raw
            raw = struct.pack(order + "I", at)
        directory += struct.pack(order + "HHI", tag, kind, len(values)) + raw.ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    header = mark + struct.pack(order + "HI", 42, 8 + len(data))
    (here / name).write_bytes(header + data + struct.pack(order + "H", len(entries)) + directory + b"\0" * 4)
    golden(here / name)


tiled("gray8_tiles.tif", gray, "<", False)
tiled("rgb_tiles.tif", rgb, ">", False)
tiled("rgb_tiles_deflate.tif", rgb, "<", True)
tiled("cmyk_tiles.tif", cmyk, ">", True)
