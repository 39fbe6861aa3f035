"""Writes files of every kind that Pillow opens or saves, with a fixed seed, and
what Pillow reads in them: python gen_matrix.py FOLDER. matrix_test.go runs it.

FOLDER/index.json lists {"file", "kind", "page", "levels", "want"}: kind groups
the table of docs/images.md, page counts from 1, levels is what the reader has to
be told, want names a PPM with Pillow's reading: upright (ImageOps.exif_transpose),
RGB, 8 bit (of more the upper 8 of as many as the file has), floats in [0,1] times
255, transparency over black, no colour profile. It is null where Pillow does not
read the file. Needs Pillow and NumPy; tifffile and imagecodecs add kinds of TIFF.
"""

import io
import itertools
import json
import os
import struct
import sys
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

warnings.filterwarnings("ignore")
out = sys.argv[1]
os.makedirs(out, exist_ok=True)
os.chdir(out)
index = []
rng = np.random.default_rng(1)

W, H = 61, 43
y, x = np.mgrid[:H, :W]
# Smooth, with edges between colours and some noise: what subsampled colours and
# wrong orders of bytes, bits, rows and planes show on.
rgb = np.stack([(5 * x + y * y // 9) % 256, 40 + 4 * y, np.where(x < 30, 230 - 3 * x - 2 * y, 60 + x)], -1)
rgb[10:20, 12:31] = (250, 10, 20)
rgb[15:30, 40:52] = (10, 30, 240)
rgb = np.clip(rgb + rng.integers(-6, 7, rgb.shape), 0, 255).astype(np.uint8)
grey = rgb[..., 0].copy()
alpha = np.clip(6 * (x + y) - 40, 0, 255).astype(np.uint8)
rgba = np.dstack([rgb, alpha])
grey16 = (grey.astype(np.uint16) << 8 | rng.integers(0, 256, grey.shape)).astype(np.uint16)
rgb16 = (rgb.astype(np.uint16) << 8 | rng.integers(0, 256, rgb.shape)).astype(np.uint16)
IM = {
    "1": Image.fromarray(grey).convert("1"), "L": Image.fromarray(grey), "LA": Image.fromarray(np.dstack([grey, alpha])),
    "RGB": Image.fromarray(rgb), "RGBA": Image.fromarray(rgba), "CMYK": Image.fromarray(rgb).convert("CMYK"),
    "P": Image.fromarray(rgb).quantize(31), "P2": Image.fromarray(rgb).quantize(2), "P16": Image.fromarray(rgb).quantize(16),
    "PA": Image.fromarray(rgba).quantize(31), "I;16": Image.fromarray(grey16), "I": Image.fromarray(grey16.astype(np.int32)),
    "F": Image.fromarray((grey / 255).astype(np.float32)), "YCbCr": Image.fromarray(rgb).convert("YCbCr"), "LAB": None,
}


def eight(im, bits):
    """The image as Pillow reads it, RGB of 8 bit."""
    format, im = im.format, ImageOps.exif_transpose(im)
    if im.mode.startswith("I"):
        a = np.clip(np.asarray(im).astype(np.int64) >> (bits - 8), 0, 255).astype(np.uint8)
        return Image.fromarray(a).convert("RGB")
    if im.mode == "F":
        a = np.asarray(im)
        return Image.fromarray(np.clip(a * 255 + 0.5, 0, 255).astype(np.uint8)).convert("RGB")
    if im.mode == "RGBA" and format in ("BMP", "DIB") and im.getextrema()[3][1] == 0:
        return im.convert("RGB")  # a fourth byte that nobody filled in
    if im.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in im.info:
        im = im.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", im.size, (0, 0, 0, 255)), im).convert("RGB")
    return im.convert("RGB")


def add(name, kind, data=None, bits=16, page=0, levels=0, want=None):
    """Adds the file, which data is written to if given, as Pillow reads it."""
    if data is not None:
        with open(name, "wb") as f:
            f.write(data)
    golden = None
    try:
        if want is None:
            im = Image.open(name)
            if page:
                im.seek(page - 1)
            im.load()
            want = eight(im, bits)
        golden = f"{name}.{page}.ppm"
        want.save(golden)
    except Exception as e:  # whatever Pillow says
        golden = None
    index.append({"file": name, "kind": kind, "page": page, "levels": levels, "want": golden})


def save(name, kind, im, bits=16, format=None, **options):
    try:
        im.save(name, format=format, **options)
    except Exception as e:
        sys.stderr.write(f"{name}: {e}\n")
        return
    add(name, kind, bits=bits)


def exif(orientation):
    e = Image.Exif()
    e[0x112] = orientation
    return e


def xmp(orientation, element=False):
    inner = f"<tiff:Orientation>{orientation}</tiff:Orientation>" if element else ""
    attribute = "" if element else f' tiff:Orientation="{orientation}"'
    return (f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
            f'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"{attribute}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>').encode()


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(depth, colour, rows, chunks=b"", width=W, height=H):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    raw = b"".join(b"\0" + r for r in rows)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + chunks + png_chunk(b"IDAT", zlib.compress(raw)) + png_chunk(b"IEND", b"")


def pack(a, bits):
    """Rows of numbers packed to so many bits, the highest first."""
    rows = []
    for r in a.reshape(a.shape[0], -1):
        b = ((r[:, None].astype(np.uint64) >> np.arange(bits - 1, -1, -1, dtype=np.uint64)) & 1).astype(np.uint8)
        rows.append(np.packbits(b.reshape(-1)).tobytes())
    return rows


# PNG
for mode in ("1", "L", "LA", "RGB", "RGBA", "P", "P2", "P16", "PA", "I;16"):
    save(f"{mode.replace(';', '')}.png", "PNG", IM[mode])
for bits in (1, 2, 4):
    add(f"grey{bits}.png", "PNG", png(bits, 0, pack(grey >> (8 - bits), bits)))
    pal = bytes(np.random.default_rng(bits).integers(0, 256, 3 << bits, dtype=np.uint8))
    add(f"pal{bits}.png", "PNG", png(bits, 3, pack(grey >> (8 - bits), bits), png_chunk(b"PLTE", pal)))
    add(f"pal{bits}t.png", "PNG", png(bits, 3, pack(grey >> (8 - bits), bits), png_chunk(b"PLTE", pal) + png_chunk(b"tRNS", b"\x80\x10")))
big = lambda a: [r.astype(">u2").tobytes() for r in a.reshape(H, -1)]
add("rgb16.png", "PNG", png(16, 2, big(rgb16)))
add("rgba16.png", "PNG", png(16, 6, big(np.dstack([rgb16, alpha.astype(np.uint16) * 257]))))
add("la16.png", "PNG", png(16, 4, big(np.dstack([grey16, alpha.astype(np.uint16) * 257]))))
add("trns_grey.png", "PNG", png(8, 0, [r.tobytes() for r in grey], png_chunk(b"tRNS", struct.pack(">H", int(grey[5, 5])))))
add("trns_rgb.png", "PNG", png(8, 2, [r.tobytes() for r in rgb], png_chunk(b"tRNS", struct.pack(">HHH", *map(int, rgb[5, 5])))))
add("trns_grey16.png", "PNG", png(16, 0, big(grey16), png_chunk(b"tRNS", struct.pack(">H", int(grey16[5, 5])))))
add("trns_rgb16.png", "PNG", png(16, 2, big(rgb16), png_chunk(b"tRNS", struct.pack(">HHH", *map(int, rgb16[5, 5])))))
for bits in (1, 2, 4):
    add(f"trns_grey{bits}.png", "PNG", png(bits, 0, pack(grey >> (8 - bits), bits), png_chunk(b"tRNS", b"\0\1")))


def adam7(a, bits, colour, chunks=b""):
    a = a if a.ndim == 3 else a[..., None]
    raw = b""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        p = a[y0::dy, x0::dx]
        if p.size:
            raw += b"".join(b"\0" + r for r in pack(p, bits))
    head = struct.pack(">IIBBBBB", a.shape[1], a.shape[0], bits, colour, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + chunks + png_chunk(b"IDAT", zlib.compress(raw)) + png_chunk(b"IEND", b"")


for bits in (1, 2, 4, 8, 16):
    add(f"adam7_grey{bits}.png", "PNG", adam7(grey16 >> (16 - bits), bits, 0))
for bits in (1, 2, 4, 8):
    add(f"adam7_pal{bits}.png", "PNG", adam7(grey >> (8 - bits), bits, 3, png_chunk(b"PLTE", bytes(np.random.default_rng(bits).integers(0, 256, 3 << bits, dtype=np.uint8)))))
add("adam7_rgb.png", "PNG", adam7(rgb, 8, 2))
add("adam7_rgba.png", "PNG", adam7(rgba, 8, 6))
add("adam7_rgb16.png", "PNG", adam7(rgb16, 16, 2))
add("adam7_tiny.png", "PNG", adam7(rgb[:1, :3], 8, 2))
for n in (1, 7, 60000):  # the pixels in chunks of so many bytes
    whole = zlib.compress(b"".join(b"\0" + r.tobytes() for r in rgb))
    add(f"idat{n}.png", "PNG", b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, 8, 2, 0, 0, 0)) + b"".join(png_chunk(b"IDAT", whole[i:i + n]) for i in range(0, len(whole), n)) + png_chunk(b"IEND", b""))
add("palette_short.png", "PNG", png(8, 3, [r.tobytes() for r in np.minimum(grey, 20)], png_chunk(b"PLTE", bytes(range(63)))))
add("gamma.png", "PNG", png(8, 2, [r.tobytes() for r in rgb], png_chunk(b"gAMA", struct.pack(">I", 100000))))
twelve = (grey16 >> 4).astype(np.uint16)
add("sbit12_stretched.png", "PNG", png(16, 0, big(twelve << 4 | twelve >> 8), png_chunk(b"sBIT", b"\x0c")))
add("sbit12_plain.png", "PNG", png(16, 0, big(twelve), png_chunk(b"sBIT", b"\x0c")), bits=12)
add("levels12.png", "PNG", png(16, 0, big(twelve)), bits=12, levels=4096)
add("dark12.png", "PNG", png(16, 0, big(twelve)))
for o in range(1, 9):
    save(f"exif{o}.png", "PNG", IM["RGB"], exif=exif(o))
for element in (False, True):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp(6, element).decode(), zip=element)
    save(f"xmp{element}.png", "PNG", IM["RGB"], pnginfo=info)
raw = exif(8).tobytes()
for z in (False, True):
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(raw):8}\n{raw.hex()}\n", zip=z)
    save(f"text{z}.png", "PNG", IM["RGB"], pnginfo=info)
save("apng.png", "PNG", IM["RGB"], save_all=True, append_images=[IM["RGB"].rotate(180)])
save("apng_default.png", "PNG", IM["RGB"], save_all=True, default_image=True, append_images=[IM["RGB"].rotate(180)])

# JPEG
for size, quality, sub, prog in itertools.product(((61, 43), (64, 48), (16, 16), (5, 3), (4, 4), (3, 5), (2, 2), (1, 1), (33, 17)), (60, 95), (0, 1, 2), (False, True)):
    im = IM["RGB"].resize(size)
    save(f"s{size[0]}x{size[1]}q{quality}_{sub}{prog}.jpg", "JPEG", im, quality=quality, subsampling=sub, progressive=prog)
noise = Image.fromarray(np.kron(rng.integers(0, 256, (20, 24, 3)), np.ones((3, 3, 1))).astype(np.uint8))
for sub, prog in itertools.product((0, 1, 2), (False, True)):
    save(f"noise{sub}{prog}.jpg", "JPEG", noise, quality=90, subsampling=sub, progressive=prog)
for mode in ("L", "CMYK", "1"):
    for prog in (False, True):
        save(f"{mode}{prog}.jpg", "JPEG", IM[mode], quality=92, progressive=prog)
save("cmyk_sub.jpg", "JPEG", IM["CMYK"], quality=92, subsampling=2)
save("rgb.jpg", "JPEG", IM["RGB"], quality=92, keep_rgb=True)
save("restart.jpg", "JPEG", IM["RGB"], quality=92, restart_marker_blocks=2)
save("restart_rows.jpg", "JPEG", IM["RGB"], quality=92, restart_marker_rows=1, progressive=True)
save("optimised.jpg", "JPEG", IM["RGB"], quality=92, optimize=True)
save("grey_qtables.jpg", "JPEG", IM["L"], qtables=[list(range(1, 65))])
save("comment.jpg", "JPEG", IM["RGB"], comment=b"x" * 60000)
for o in range(1, 9):
    save(f"exif{o}.jpg", "JPEG", IM["RGB"], exif=exif(o), quality=95, subsampling=0)
for element in (False, True):
    save(f"xmp{element}.jpg", "JPEG", IM["RGB"], xmp=xmp(6, element), quality=95, subsampling=0)
save("xmp_exif.jpg", "JPEG", IM["RGB"], xmp=xmp(6), exif=exif(3), quality=95, subsampling=0)
save("pair.mpo", "JPEG", IM["RGB"], save_all=True, append_images=[IM["RGB"].rotate(180)])
jpeg = open("s61x43q95_2False.jpg", "rb").read()
add("trailing.jpg", "JPEG", jpeg + b"\xff\xda" * 400)


def blocks(sampling, ids=b"\1\2\3\4", adobe=None, jfif=True, progressive=False, size=(W, H)):
    """A JPEG of blocks of one value each, of any sampling."""
    n = len(sampling)
    hs, vs = [s >> 4 for s in sampling], [s & 15 for s in sampling]
    hm, vm = max(hs), max(vs)
    mx, my = -(-size[0] // (8 * hm)), -(-size[1] // (8 * vm))
    bits = []
    last = [0] * n
    values = np.random.default_rng(len(sampling) + sum(sampling)).integers(-100, 101, (my, mx, n, 16))
    for j, i, c in itertools.product(range(my), range(mx), range(n)):
        for k in range(hs[c] * vs[c]):
            v = int(values[j, i, c, k])
            d, last[c] = v - last[c], v
            size_ = abs(d).bit_length()
            bits.append(f"{size_:04b}" + (f"{d if d > 0 else d + (1 << size_) - 1:0{size_}b}" if size_ else "") + ("" if progressive else "0"))
    bits = "".join(bits)
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    seg = lambda m, b: bytes([0xff, m]) + struct.pack(">H", len(b) + 2) + b
    o = b"\xff\xd8"
    if jfif:
        o += seg(0xe0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    if adobe is not None:
        o += seg(0xee, b"Adobe\0\x64\0\0\0\0" + bytes([adobe]))
    o += seg(0xdb, b"\0" + b"\x08" * 64)
    o += seg(0xc2 if progressive else 0xc0, struct.pack(">BHHB", 8, size[1], size[0], n) + b"".join(bytes([ids[c], sampling[c], 0]) for c in range(n)))
    o += seg(0xc4, b"\0" + bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12)))
    o += seg(0xc4, b"\x10" + bytes([1] + [0] * 15) + b"\0")
    o += seg(0xda, bytes([n]) + b"".join(bytes([ids[c], 0]) for c in range(n)) + bytes([0, 0 if progressive else 63, 0]))
    o += data
    for c in range(n if progressive else 0):  # the rest of the coefficients, all 0
        count = -(-(-(-size[0] * hs[c] // hm)) // 8) * -(-(-(-size[1] * vs[c] // vm)) // 8)
        o += seg(0xda, bytes([1, ids[c], 0, 1, 63, 0])) + b"\0" * (count // 8) + (bytes([0xff >> count % 8]) if count % 8 else b"")
    return o + b"\xff\xd9"


for size in ((W, H), (64, 64), (3, 3), (2, 9), (9, 2), (1, 1)):
    for progressive in (False, True):
        for s in ((0x11, 0x11, 0x11), (0x21, 0x11, 0x11), (0x12, 0x11, 0x11), (0x22, 0x11, 0x11), (0x41, 0x11, 0x11), (0x42, 0x11, 0x11), (0x14, 0x11, 0x11), (0x44, 0x11, 0x11),
                  (0x22, 0x12, 0x21), (0x22, 0x22, 0x22), (0x22, 0x12, 0x12), (0x22, 0x21, 0x21), (0x31, 0x11, 0x11), (0x11, 0x22, 0x22), (0x22, 0x11, 0x22), (0x22,), (0x11,),
                  (0x11, 0x11, 0x11, 0x11), (0x22, 0x11, 0x11, 0x22), (0x22, 0x22, 0x22, 0x22)):
            name = "blocks" + "_".join("%x" % v for v in s) + f"_{size[0]}x{size[1]}{progressive}"
            add(name + ".jpg", "JPEG", blocks(s, jfif=len(s) < 4, progressive=progressive, size=size))
            if size == (W, H):
                for adobe in (0, 1, 2):
                    add(f"{name}a{adobe}.jpg", "JPEG", blocks(s, jfif=False, adobe=adobe, progressive=progressive))
                if len(s) == 3:
                    add(f"{name}ids.jpg", "JPEG", blocks(s, ids=b"RGB", jfif=False, progressive=progressive))
                    add(f"{name}none.jpg", "JPEG", blocks(s, ids=b"ABC", jfif=False, progressive=progressive))

# GIF
for mode in ("1", "L", "RGB", "P", "PA", "RGBA"):
    save(f"{mode}.gif", "GIF", IM[mode])
save("interlaced.gif", "GIF", IM["P"], interlace=1)
save("animated.gif", "GIF", IM["P"], save_all=True, append_images=[IM["P"].rotate(180), IM["P"].rotate(90)])
save("transparent.gif", "GIF", IM["P"], transparency=3)


def gif(screen, at, background, transparent, table=True):
    p = IM["P16"].crop((0, 0, 20, 12))
    pal = bytes((p.getpalette() + [0] * 768)[:48])
    b = io.BytesIO()
    p.save(b, "GIF")
    b = b.getvalue()
    frame = b[b.index(b",\0\0\0\0"):]
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0xf3 if table else 0x70, background, 0) + (pal if table else b"")
    gce = b"" if transparent is None else b"!\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    flags = frame[9]
    local = pal if not table else b""
    body = frame[10 + (3 << (flags & 7) + 1 if flags & 0x80 else 0):]
    return head + gce + b"," + struct.pack("<HHHHB", *at, 20, 12, 0x83 if local else 0) + local + body


add("part.gif", "GIF", gif((40, 30), (5, 7), 0, None))
add("part_bg.gif", "GIF", gif((40, 30), (5, 7), 3, None))
add("part_transparent.gif", "GIF", gif((40, 30), (5, 7), 3, 2))
add("local.gif", "GIF", gif((20, 12), (0, 0), 0, None, table=False))

# BMP
for mode in ("1", "L", "RGB", "RGBA", "P", "P2", "P16"):
    save(f"{mode}.bmp", "BMP", IM[mode])
    save(f"{mode}.dib", "BMP", IM[mode], format="DIB")


def bmp(bits, rows, header=40, compression=0, masks=(), palette=b"", colours=0, top_down=False, gap=0, raw=None):
    if not top_down:
        rows = rows[::-1]
    px = raw if raw is not None else b"".join(r + b"\0" * (-len(r) % 4) for r in rows)
    if header == 12:
        h = struct.pack("<IHHHH", 12, W, H, 1, bits)
    else:
        h = struct.pack("<IiiHHIIiiII", header, W, -H if top_down else H, 1, bits, compression, len(px), 2835, 2835, colours, 0)
        m = struct.pack("<%dI" % len(masks), *masks)
        h = (h + m + b"\0" * header)[: max(header, 40 + (len(m) if header == 40 else 0))]
    off = 14 + len(h) + len(palette) + gap
    return b"BM" + struct.pack("<IHHI", off + len(px), 0, 0, off) + h + palette + b"\0" * gap + px


bgr = rgb[..., ::-1]
bgrx = np.dstack([bgr, np.zeros_like(grey)])
bgra = np.dstack([bgr, alpha])
rowsof = lambda a: [r.tobytes() for r in a]
for header in (40, 52, 56, 64, 108, 124):
    add(f"h{header}_24.bmp", "BMP", bmp(24, rowsof(bgr), header))
    add(f"h{header}_32zero.bmp", "BMP", bmp(32, rowsof(bgrx), header))
    add(f"h{header}_32alpha.bmp", "BMP", bmp(32, rowsof(bgra), header))
    for name, a in (("zero", bgrx), ("alpha", bgra)):
        for masks in ((0xff0000, 0xff00, 0xff, 0xff000000), (0xff0000, 0xff00, 0xff, 0), (0xff, 0xff00, 0xff0000, 0xff000000), (0xff000000, 0xff0000, 0xff00, 0xff), (0xff000000, 0xff0000, 0xff00, 0), (0, 0, 0, 0)):
            if header != 64:
                add(f"h{header}_bf{name}{'_'.join('%x' % m for m in masks)}.bmp", "BMP", bmp(32, rowsof(a), header, 3, masks[:3] if header == 40 else masks))
add("core24.bmp", "BMP", bmp(24, rowsof(bgr), 12))
v555 = ((bgr[..., 2] >> 3).astype(np.uint16) << 10 | (bgr[..., 1] >> 3).astype(np.uint16) << 5 | bgr[..., 0] >> 3).astype("<u2")
v565 = ((bgr[..., 2] >> 3).astype(np.uint16) << 11 | (bgr[..., 1] >> 2).astype(np.uint16) << 5 | bgr[..., 0] >> 3).astype("<u2")
add("rgb555.bmp", "BMP", bmp(16, rowsof(v555)))
add("bf555.bmp", "BMP", bmp(16, rowsof(v555), 40, 3, (0x7c00, 0x3e0, 0x1f)))
add("bf565.bmp", "BMP", bmp(16, rowsof(v565), 40, 3, (0xf800, 0x7e0, 0x1f)))
add("bf565v5.bmp", "BMP", bmp(16, rowsof(v565), 124, 3, (0xf800, 0x7e0, 0x1f, 0)))
add("bf24.bmp", "BMP", bmp(24, rowsof(bgr), 40, 3, (0xff0000, 0xff00, 0xff)))
add("bf10.bmp", "BMP", bmp(32, rowsof(bgrx), 40, 3, (0x3ff00000, 0xffc00, 0x3ff)))
add("topdown.bmp", "BMP", bmp(24, rowsof(bgr), top_down=True))
add("topdown8.bmp", "BMP", bmp(8, rowsof(grey), palette=bytes(v for i in range(256) for v in (i, 255 - i, i // 2, 0)), top_down=True))
for bits in (1, 2, 4, 8):
    idx = grey >> (8 - bits)
    pal = [tuple(int(v) for v in np.random.default_rng(9).integers(0, 256, (256, 3))[i]) for i in range(1 << bits)]
    p4 = b"".join(bytes([b, g, r, 0]) for r, g, b in pal)
    p3 = b"".join(bytes([b, g, r]) for r, g, b in pal)
    add(f"pal{bits}.bmp", "BMP", bmp(bits, pack(idx, bits), palette=p4))
    add(f"pal{bits}core.bmp", "BMP", bmp(bits, pack(idx, bits), 12, palette=p3))
    add(f"pal{bits}gap.bmp", "BMP", bmp(bits, pack(idx, bits), palette=p4, colours=len(pal), gap=20))
    if bits > 1:
        few = min(len(pal) - 1, 200)
        add(f"pal{bits}few.bmp", "BMP", bmp(bits, pack(np.minimum(idx, few - 1), bits), palette=p4[: 4 * few], colours=few))
        add(f"pal{bits}fewgap.bmp", "BMP", bmp(bits, pack(np.minimum(idx, few - 1), bits), palette=p4[: 4 * few], colours=few, gap=8))


def rle(idx, four, absolute, end=True):
    b = bytearray()
    for r in idx[::-1]:
        i = 0
        while i < len(r):
            if absolute and len(r) - i >= 5:
                n = min(len(r) - i, 5 + i % 7)
                px = r[i:i + n]
                data = bytes(px) if not four else bytes(int(px[k]) << 4 | (int(px[k + 1]) if k + 1 < n else 0) for k in range(0, n, 2))
                b += bytes([0, n]) + data + b"\0" * (len(data) % 2)
                i += n
                continue
            n = 1
            while i + n < len(r) and n < 255 and r[i + n] == r[i]:
                n += 1
            b += bytes([n, int(r[i]) * 17 if four else int(r[i])])
            i += n
        b += b"\0\0"
    return bytes(b[:-2]) + (b"\0\1" if end else b"")


pal256 = bytes(v for i in range(256) for v in (i, (i * 3) % 256, 255 - i, 0))
for absolute in (False, True):
    add(f"rle8{absolute}.bmp", "BMP", bmp(8, [], compression=1, palette=pal256, raw=rle(grey, False, absolute)))
    add(f"rle4{absolute}.bmp", "BMP", bmp(4, [], compression=2, palette=pal256[:64], raw=rle(grey >> 4, True, absolute)))
add("rle8delta.bmp", "BMP", bmp(8, [], compression=1, palette=pal256, raw=bytes([20, 7, 0, 2, 5, 3, 10, 99, 0, 0, 0, 2, 4, 30, 9, 200, 0, 1])))
add("rle8short.bmp", "BMP", bmp(8, [], compression=1, palette=pal256, raw=bytes([61, 7, 0, 0, 30, 9, 0, 1])))

# WebP
for quality, size in itertools.product((40, 90), ((61, 43), (64, 48), (5, 3), (2, 2), (1, 1), (33, 16))):
    save(f"q{quality}_{size[0]}x{size[1]}.webp", "WebP", IM["RGB"].resize(size), quality=quality)
save("noise.webp", "WebP", noise, quality=90)
save("lossless.webp", "WebP", IM["RGB"], lossless=True)
save("lossless_alpha.webp", "WebP", IM["RGBA"], lossless=True)
save("lossy_alpha.webp", "WebP", IM["RGBA"], quality=85)
save("lossy_alpha_q.webp", "WebP", IM["RGBA"], quality=85, alpha_quality=40)
save("grey.webp", "WebP", IM["L"], quality=85)
for lossless, mode in itertools.product((False, True), ("RGB", "RGBA")):
    save(f"animated{lossless}{mode}.webp", "WebP", IM[mode], lossless=lossless, save_all=True, append_images=[IM[mode].rotate(180)])
for o in (1, 3, 6):
    save(f"exif{o}.webp", "WebP", IM["RGB"], lossless=True, exif=exif(o))
save("xmp.webp", "WebP", IM["RGB"], lossless=True, xmp=xmp(8))

# PNM
for mode, ext in (("1", "pbm"), ("L", "pgm"), ("RGB", "ppm"), ("I;16", "pgm"), ("F", "pfm")):
    save(f"{mode.replace(';', '')}.{ext}", "PNM", IM[mode])
text = lambda a: (" ".join(str(v) for v in a.reshape(-1))).encode()
add("p1.pbm", "PNM", b"P1\n# a comment\n61 43\n" + text((grey > 99).astype(int)) + b"\n")
add("p1dense.pbm", "PNM", b"P1 61 43\n" + text((grey > 99).astype(int)).replace(b" ", b""))
add("p2.pgm", "PNM", b"P2\n61 43\n255\n" + text(grey) + b"\n")
add("p2small.pgm", "PNM", b"P2\n61 43\n15\n" + text(grey >> 4))
add("p2deep.pgm", "PNM", b"P2\n61 43\n4095\n" + text(twelve))
add("p3.ppm", "PNM", b"P3\n#x\n61\n43 255\n" + text(rgb) + b"\n")
add("p5small.pgm", "PNM", b"P5 61 43 100\n" + (grey // 3).tobytes())
add("p5deep.pgm", "PNM", b"P5\n61 43\n4095\n" + twelve.astype(">u2").tobytes())
add("p5full.pgm", "PNM", b"P5\n61 43\n65535\n" + grey16.astype(">u2").tobytes())
add("p6small.ppm", "PNM", b"P6\n61 43\n# maxval follows\n63\n" + (rgb >> 2).tobytes())
add("p6deep.ppm", "PNM", b"P6\n61 43\n1023\n" + (rgb16 >> 6).astype(">u2").tobytes())
add("big.pfm", "PNM", b"Pf\n61 43\n1.0\n" + (grey[::-1] / 255).astype(">f4").tobytes())
add("colour.pfm", "PNM", b"PF\n61 43\n-1.0\n" + (rgb[::-1] / 255).astype("<f4").tobytes())
add("rgb.pam", "PNM", b"P7\nWIDTH 61\nHEIGHT 43\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + rgb.tobytes())

# TIFF, by Pillow
for mode in ("1", "L", "LA", "RGB", "RGBA", "P", "PA", "CMYK", "YCbCr", "I;16", "F"):
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg", "group3", "group4", "tiff_ccitt", "zstd", "lzma", "webp", "tiff_raw_16"):
        if compression in ("group3", "group4", "tiff_ccitt", "tiff_raw_16") and mode != "1":
            continue
        save(f"{mode.replace(';', '')}_{compression}.tif", "TIFF", IM[mode], compression=compression)
for mode in ("L", "RGB", "RGBA"):
    save(f"{mode}_big.tif", "TIFF", IM[mode], big_tiff=True)
    for c in ("tiff_lzw", "tiff_adobe_deflate"):
        save(f"{mode}_{c}_predictor.tif", "TIFF", IM[mode], compression=c, tiffinfo={317: 2})
save("strips.tif", "TIFF", IM["RGB"], compression="tiff_lzw", strip_size=1000)
save("fill2.tif", "TIFF", IM["1"], compression="group4", tiffinfo={266: 2})
save("jpeg_strips.tif", "TIFF", IM["RGB"].resize((128, 96)), compression="jpeg", quality=80, strip_size=128 * 3 * 16)
for o in range(1, 9):
    save(f"o{o}.tif", "TIFF", IM["RGB"], tiffinfo={274: o})
save("xmp.tif", "TIFF", IM["RGB"], tiffinfo={700: xmp(6)})
pages = [IM["RGB"], IM["L"], IM["RGBA"].rotate(180)]
pages[0].save("pages.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
for p in (1, 2, 3):
    add("pages.tif", "TIFF", page=p)


def tiff(a, bits, photometric=1, order="<", fill=1, planar=1, tile=None, rows=None, compression=1, extra=None, kind=1, big=False, predictor=1, more=(), colourmap=None):
    """A TIFF of numbers [H, W] or [H, W, C], which are packed to so many bits."""
    a = a if a.ndim == 3 else a[..., None]
    h, w, n = a.shape
    chunks = []
    planes = [a[..., i:i + 1] for i in range(n)] if planar == 2 else [a]
    cw, ch = tile or (w, rows or h)
    for p in planes:
        for y0 in range(0, h, ch):
            for x0 in range(0, w, cw):
                c = p[y0:y0 + ch, x0:x0 + cw]
                if tile:
                    c = np.pad(c, ((0, ch - c.shape[0]), (0, cw - c.shape[1]), (0, 0)))
                if predictor == 2:
                    c = c.copy()
                    c[:, 1:] = c[:, 1:] - c[:, :-1]
                if kind == 3 or bits in (8, 16, 32, 64):
                    t = {1: "u", 2: "i", 3: "f"}[kind] + str(bits // 8)
                    d = c.astype(order + t).tobytes()
                    if predictor == 3:
                        d = b"".join(predict3(r.astype(">" + t), n if planar == 1 else 1, bits // 8) for r in c)
                else:
                    d = b"".join(pack(c, bits))
                if compression in (8, 32946):
                    d = zlib.compress(d)
                if fill == 2:
                    d = bytes(int(f"{v:08b}"[::-1], 2) for v in d)
                chunks.append(d)
    tags = [(256, 4, [w]), (257, 4, [h]), (258, 3, [bits] * n), (259, 3, [compression]), (262, 3, [photometric]), (266, 3, [fill]), (277, 3, [n]), (284, 3, [planar]), (317, 3, [predictor]), (339, 3, [kind] * n)]
    tags += [(322, 4, [cw]), (323, 4, [ch]), (324, 4, None), (325, 4, [len(c) for c in chunks])] if tile else [(273, 4, None), (278, 4, [ch]), (279, 4, [len(c) for c in chunks])]
    if extra is not None:
        tags.append((338, 3, extra))
    if colourmap is not None:
        tags.append((320, 3, colourmap))
    tags = sorted(tags + list(more))
    code = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I"}
    start = 16 if big else 8
    size = (8 + 20 * len(tags) + 8) if big else (2 + 12 * len(tags) + 4)
    room = 8 if big else 4
    blobs, where = b"", start + size
    offsets_at = None
    entries = []
    for tag, typ, values in tags:
        count = len(chunks) if values is None else len(values) // (2 if typ == 5 else 1)
        if values is None:
            values, mark = [0] * count, True
        else:
            mark = False
        d = struct.pack(order + str(len(values)) + code[typ], *values)
        if len(d) > room:
            if mark:
                offsets_at = ("blob", len(blobs))
            entries.append([tag, typ, count, struct.pack(order + ("Q" if big else "I"), where + len(blobs))])
            blobs += d + b"\0" * (len(d) % 2)
        else:
            if mark:
                offsets_at = ("inline", len(entries))
            entries.append([tag, typ, count, d.ljust(room, b"\0")])
    data_at = where + len(blobs)
    offs, at = [], data_at
    for c in chunks:
        offs.append(at)
        at += len(c)
    d = struct.pack(order + str(len(offs)) + "I", *offs)
    if offsets_at[0] == "blob":
        blobs = blobs[: offsets_at[1]] + d + blobs[offsets_at[1] + len(d):]
    else:
        entries[offsets_at[1]][3] = d.ljust(room, b"\0")
    magic = b"II" if order == "<" else b"MM"
    if big:
        head = magic + struct.pack(order + "HHHQ", 43, 8, 0, 16) + struct.pack(order + "Q", len(tags))
        ifd = b"".join(struct.pack(order + "HHQ", t, ty, c) + v for t, ty, c, v in entries) + struct.pack(order + "Q", 0)
    else:
        head = magic + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", len(tags))
        ifd = b"".join(struct.pack(order + "HHI", t, ty, c) + v for t, ty, c, v in entries) + struct.pack(order + "I", 0)
    return head + ifd + blobs + b"".join(chunks)


def predict3(row, n, size):
    b = np.frombuffer(row.tobytes(), np.uint8).reshape(-1, size).T.reshape(-1).astype(np.int16)
    d = b.copy()
    d[n:] = b[n:] - b[:-n]
    return (d & 255).astype(np.uint8).tobytes()


for order, fill in itertools.product("<>", (1, 2)):
    o = "IM"[order == ">"] + str(fill)
    for bits, photometric in itertools.product((1, 2, 4, 8), (0, 1)):
        add(f"g{bits}p{photometric}{o}.tif", "TIFF", tiff(grey >> (8 - bits), bits, photometric, order, fill))
    for bits in (10, 12, 14, 16):
        add(f"g{bits}{o}.tif", "TIFF", tiff(grey16 >> (16 - bits), bits, 1, order, fill), bits=bits)
    for layout in ({}, {"rows": 7}, {"tile": (16, 32)}, {"tile": (64, 64)}):
        l = "".join(map(str, layout.values())).replace(" ", "")
        for planar in (1, 2):
            add(f"rgb{o}{l}{planar}.tif", "TIFF", tiff(rgb, 8, 2, order, fill, planar, **layout))
            add(f"rgbz{o}{l}{planar}.tif", "TIFF", tiff(rgb, 8, 2, order, fill, planar, compression=8, **layout))
        add(f"g8{o}{l}.tif", "TIFF", tiff(grey, 8, 1, order, fill, **layout))
        add(f"g1{o}{l}.tif", "TIFF", tiff(grey >> 7, 1, 1, order, fill, **layout))
for order in "<>":
    o = "IM"[order == ">"]
    for planar in (1, 2):
        add(f"rgb16{o}{planar}.tif", "TIFF", tiff(rgb16, 16, 2, order, planar=planar))
        add(f"rgb16z{o}{planar}.tif", "TIFF", tiff(rgb16, 16, 2, order, planar=planar, compression=8, predictor=2))
        add(f"rgba{o}{planar}.tif", "TIFF", tiff(rgba, 8, 2, order, planar=planar, extra=[2]))
        add(f"rgbx{o}{planar}.tif", "TIFF", tiff(rgba, 8, 2, order, planar=planar, extra=[0]))
    add(f"rgba_none{o}.tif", "TIFF", tiff(rgba, 8, 2, order))
    add(f"rgba_premultiplied{o}.tif", "TIFF", tiff((rgba.astype(int) * [1, 1, 1, 255] * np.dstack([alpha] * 3 + [np.ones_like(alpha)]) // 255).astype(np.uint8), 8, 2, order, extra=[1]))
    add(f"rgba16{o}.tif", "TIFF", tiff(np.dstack([rgb16, alpha.astype(np.uint16) * 257]), 16, 2, order, extra=[2]))
    add(f"la{o}.tif", "TIFF", tiff(np.dstack([grey, alpha]), 8, 1, order, extra=[2]))
    add(f"lx{o}.tif", "TIFF", tiff(np.dstack([grey, alpha]), 8, 1, order, extra=[0]))
    add(f"rgbxx{o}.tif", "TIFF", tiff(np.dstack([rgb, grey, grey]), 8, 2, order, extra=[0, 0]))
    add(f"cmyk16{o}.tif", "TIFF", tiff(np.asarray(IM["CMYK"]).astype(np.uint16) * 257, 16, 5, order))
    add(f"cmyk{o}planar.tif", "TIFF", tiff(np.asarray(IM["CMYK"]), 8, 5, order, planar=2))
    add(f"white16{o}.tif", "TIFF", tiff(grey16, 16, 0, order))
    add(f"signed8{o}.tif", "TIFF", tiff((grey >> 1).astype(np.int8), 8, 1, order, kind=2))
    add(f"signed16{o}.tif", "TIFF", tiff((grey16 >> 1).astype(np.int16), 16, 1, order, kind=2), bits=15)
    add(f"signed16levels{o}.tif", "TIFF", tiff((grey16 >> 1).astype(np.int16), 16, 1, order, kind=2), bits=15, levels=1 << 15)
    add(f"u32{o}.tif", "TIFF", tiff(grey16.astype(np.uint32), 32, 1, order))
    add(f"u32levels{o}.tif", "TIFF", tiff(grey16.astype(np.uint32), 32, 1, order), levels=1 << 16)
    for bits, p in itertools.product((16, 32, 64), (1, 3)):
        add(f"f{bits}_{p}{o}.tif", "TIFF", tiff(grey / 255, bits, 1, order, kind=3, compression=8 if p == 3 else 1, predictor=p), want=Image.fromarray(grey).convert("RGB"))
    add(f"frange{o}.tif", "TIFF", tiff(grey.astype(float), 32, 1, order, kind=3))
    for bits in (1, 2, 4, 8):
        cm = np.random.default_rng(3).integers(0, 65536, 3 << bits).tolist()
        add(f"pal{bits}{o}.tif", "TIFF", tiff(grey >> (8 - bits), bits, 3, order, colourmap=cm))
    add(f"big{o}.tif", "TIFF", tiff(rgb, 8, 2, order, big=True, tile=(16, 16)))
    add(f"max12{o}.tif", "TIFF", tiff(twelve, 16, 1, order, more=[(281, 3, [4095])]), bits=12)
    add(f"max777{o}.tif", "TIFF", tiff(twelve, 16, 1, order, more=[(281, 3, [777])]))
add("lab.tif", "TIFF", tiff(rgb, 8, 8))
add("cfa.tif", "TIFF", tiff(grey, 8, 32803))
yc = np.asarray(IM["YCbCr"])
add("ycc444.tif", "TIFF", tiff(yc, 8, 6, more=[(530, 3, [1, 1])]))

try:
    import tifffile

    for name, a, options in (
        ("t_jpeg_ycc", rgb, dict(photometric="ycbcr", compression="jpeg")), ("t_jpeg_rgb", rgb, dict(photometric="rgb", compression="jpeg")),
        ("t_jpeg_ycc_tiles", rgb, dict(photometric="ycbcr", compression="jpeg", tile=(32, 32))), ("t_jpeg_grey", grey, dict(compression="jpeg")),
        ("t_jpeg_420", rgb, dict(photometric="ycbcr", compression="jpeg", subsampling=(2, 2))), ("t_jpeg_422", rgb, dict(photometric="ycbcr", compression="jpeg", subsampling=(2, 1))),
        ("t_jpeg_420_tiles", rgb, dict(photometric="ycbcr", compression="jpeg", subsampling=(2, 2), tile=(32, 32))),
        ("t_zstd", rgb, dict(photometric="rgb", compression="zstd")), ("t_lzma", rgb, dict(photometric="rgb", compression="lzma")),
        ("t_lerc", grey, dict(compression="lerc")), ("t_webp", rgb, dict(photometric="rgb", compression="webp")), ("t_jxl", rgb, dict(photometric="rgb", compression="jpegxl")),
        ("t_jp2", rgb, dict(photometric="rgb", compression="jpeg2000")), ("t_packbits", rgb, dict(photometric="rgb", compression="packbits")),
        ("t_lzw16", rgb16, dict(photometric="rgb", compression="lzw", predictor=True)), ("t_lzw16_big", rgb16, dict(photometric="rgb", compression="lzw", predictor=True, byteorder=">")),
        ("t_float_pred", (grey / 255).astype(np.float32), dict(compression="zlib", predictor=True)), ("t_planar", rgb.transpose(2, 0, 1), dict(photometric="rgb", planarconfig="separate")),
        ("t_planar_tile", rgb.transpose(2, 0, 1), dict(photometric="rgb", planarconfig="separate", tile=(256, 256), compression="zlib")),
        ("t_bool", grey > 99, dict(photometric="minisblack")), ("t_miniswhite", grey, dict(photometric="miniswhite")), ("t_pyramid", rgb, dict(photometric="rgb", subifds=0)),
    ):
        try:
            tifffile.imwrite(name + ".tif", a, **options)
        except Exception as e:
            sys.stderr.write(f"{name}: {e}\n")
            continue
        want = Image.fromarray(grey).convert("RGB") if "float" in name else None
        add(name + ".tif", "TIFF", want=want)
except ImportError:
    pass

# All else that Pillow saves: refused by name.
for ext, mode in (("avif", "RGB"), ("jp2", "RGB"), ("j2k", "L"), ("pcx", "RGB"), ("tga", "RGB"), ("sgi", "RGB"), ("ico", "RGBA"), ("icns", "RGBA"), ("im", "RGB"), ("xbm", "1"), ("msp", "1"), ("dds", "RGB"), ("qoi", "RGB"), ("pdf", "RGB"), ("eps", "RGB"), ("blp", "P")):
    name = "other." + ext
    try:
        IM[mode].save(name)
    except Exception as e:
        sys.stderr.write(f"{name}: {e}\n")
        continue
    add(name, "others")
for name, data in (
    ("heic.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), ("jxl.jxl", b"\xff\x0a" + b"\0" * 30), ("raw.cr2", b"II*\0\x10\0\0\0CR\2\0" + b"\0" * 30), ("raw.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"),
    ("raw.raf", b"FUJIFILMCCD-RAW 0201"), ("raw.rw2", b"IIU\0\x18\0\0\0" + b"\0" * 30), ("raw.orf", b"IIRO\x08\0\0\0" + b"\0" * 30), ("a.psd", b"8BPS\0\1" + b"\0" * 40),
    ("a.svg", b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"), ("a.pdf", b"%PDF-1.4\n"), ("a.dcm", b"\0" * 128 + b"DICM\2\0\0\0"), ("a.exr", b"v/1\1\2\0\0\0"), ("a.hdr", b"#?RADIANCE\n"),
    ("a.fits", b"SIMPLE  =                    T"), ("a.sun.ras", struct.pack(">8I", 0x59a66a95, 4, 2, 8, 8, 1, 0, 0) + bytes(8)), ("a.xpm", b"/* XPM */\nstatic char *x[] = {"), ("a.wmf", b"\xd7\xcd\xc6\x9a" + b"\0" * 40),
):
    add(name, "others", data)
with open("index.json", "w") as f:
    json.dump(index, f)
