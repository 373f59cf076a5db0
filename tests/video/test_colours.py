"""Colours are those that the file means, whatever its matrix, range, depth and transparency."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

import reelfit
from reelfit.errors import VideoError
from reelfit.video.picture import square_size
from reelfit.video.tone import drawn_together, from_hlg, from_pq, to_pq, tone_mapped

# Source: ITU-T H.273, table 4: the weights of red and blue by the matrix's number.
WEIGHTS = {"bt709": (1, 0.2126, 0.0722), "bt601": (5, 0.299, 0.114), "bt2020": (9, 0.2627, 0.0593)}
WEIGHTS |= {"smpte240m": (7, 0.212, 0.087), "fcc": (4, 0.30, 0.11)}
UNSPECIFIED, LIMITED, FULL, PQ, HLG = 2, 1, 2, 16, 18
PATCHES = 16


def expected_rgb(yuv, matrix, *, full, bits):
    """The formulas of ITU-T H.273, 8.3, for one colour given as stored."""
    _, red, blue = WEIGHTS[matrix]
    scale = 2 ** (bits - 8)
    luma_zero, luma_span, chroma_span = (0, 2**bits - 1, 2**bits - 1) if full else (16, 219, 224)
    if not full:
        luma_zero, luma_span, chroma_span = (
            luma_zero * scale,
            luma_span * scale,
            chroma_span * scale,
        )
    luma = (yuv[0] - luma_zero) / luma_span
    u, v = ((value - 128 * scale) / chroma_span for value in yuv[1:])
    r, b = luma + 2 * (1 - red) * v, luma + 2 * (1 - blue) * u
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return 255 * np.clip([r, g, b], 0, 1)


def write_patches(
    path, frames, pixel_format, *, tags=(UNSPECIFIED, 0, 2), codec="ffv1", sar=None, size=None
):
    """Losslessly stores ``frames``, each a list of planes."""
    height, width = size or frames[0][0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = height, width, pixel_format
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_trc = tags
        if sar:
            context.sample_aspect_ratio = sar
        for planes in frames:
            frame = av.VideoFrame(width, height, pixel_format)
            for plane, values in zip(frame.planes, planes, strict=True):
                line = np.zeros((plane.height, plane.line_size), np.uint8)
                stored = np.ascontiguousarray(values)
                bytes_of = stored.view(np.uint8).reshape(stored.shape[0], -1)
                line[:, : bytes_of.shape[1]] = bytes_of
                plane.update(line.tobytes())
            frame.colorspace, frame.color_range, frame.color_trc = tags
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def patch_of(yuv, height, width, *, bits, halved):
    kind = np.uint8 if bits == 8 else np.dtype("<u2")
    chroma = (height // halved[0], width // halved[1])
    return [
        np.full((height, width), yuv[0], kind),
        np.full(chroma, yuv[1], kind),
        np.full(chroma, yuv[2], kind),
    ]


FORMATS = {
    "yuv420p": (8, (2, 2)),
    "yuv422p": (8, (1, 2)),
    "yuv444p": (8, (1, 1)),
    "yuv420p10le": (10, (2, 2)),
    "yuv422p12le": (12, (1, 2)),
    "yuv444p12le": (12, (1, 1)),
}


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("full", [False, True])
def test_every_matrix_range_and_depth_gives_the_colours_meant(tmp_path, pixel_format, matrix, full):
    bits, halved = FORMATS[pixel_format]
    scale = 2 ** (bits - 8)
    generator = np.random.default_rng(7)
    asked = [generator.integers((20, 96, 96), (230, 160, 160)) * scale for _ in range(PATCHES)]
    frames = [patch_of(yuv, 16, 16, bits=bits, halved=halved) for yuv in asked]
    tags = (WEIGHTS[matrix][0], FULL if full else LIMITED, 1)
    path = write_patches(tmp_path / "a.mkv", frames, pixel_format, tags=tags)
    found = reelfit.decode(path, at=range(PATCHES))
    for yuv, picture in zip(asked, found, strict=True):
        want = expected_rgb(yuv, matrix, full=full, bits=bits)
        assert (picture[:, 8, 8].numpy() - want).__abs__().max() <= 4, (yuv, want)
    facts = reelfit.probe(path)
    assert (facts.colour_matrix, facts.colour_tagged, facts.hdr) == (matrix, True, False)


@pytest.mark.parametrize(("size", "matrix"), [((1280, 720), "bt709"), ((640, 360), "bt601")])
def test_an_untagged_matrix_is_chosen_by_size_and_said_to_be(tmp_path, size, matrix):
    yuv = (120, 90, 170)
    frame = patch_of(yuv, size[1], size[0], bits=8, halved=(2, 2))
    path = write_patches(tmp_path / "a.mkv", [frame], "yuv420p")
    found = reelfit.decode(path, at=[0])[0, :, 8, 8].numpy()
    assert np.abs(found - expected_rgb(yuv, matrix, full=False, bits=8)).max() <= 4
    other = "bt601" if matrix == "bt709" else "bt709"
    assert np.abs(found - expected_rgb(yuv, other, full=False, bits=8)).max() > 6
    facts = reelfit.probe(path)
    assert (facts.colour_matrix, facts.colour_tagged) == (matrix, False)


def test_a_matrix_that_is_none_of_rgb_is_refused(tmp_path):
    ictcp = 14
    frame = patch_of((120, 90, 170), 16, 16, bits=8, halved=(1, 1))
    path = write_patches(tmp_path / "a.mkv", [frame], "yuv444p", tags=(ictcp, LIMITED, 1))
    with pytest.raises(VideoError, match="colours that cannot be converted"):
        reelfit.decode(path, at=[0])
    with pytest.raises(VideoError, match="colours that cannot be converted"):
        reelfit.probe(path)


def test_what_is_transparent_lies_over_black(tmp_path):
    rgba = np.random.default_rng(0).integers(0, 256, (16, 32, 4), dtype=np.uint8)
    path = write_patches(
        tmp_path / "a.mov", [[rgba.reshape(16, -1)]], "rgba", codec="png", size=(16, 32)
    )
    found = reelfit.decode(path, at=[0])[0].permute(1, 2, 0).numpy()
    expected = rgba[..., :3].astype(float) * rgba[..., 3:] / 255
    assert np.abs(found - expected).max() <= 0.5 + 1e-9


def test_grey_is_grey(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = write_patches(tmp_path / "a.mkv", [[grey]], "gray")
    found = reelfit.decode(path, at=[0])[0].numpy()
    assert (found == found[:1]).all()
    assert np.abs(found[0].astype(int) - grey).max() <= 1
    assert reelfit.probe(path).colour_matrix == "grey"


def write_shaped(path, grey, sar):
    no_colour = np.full((8, 16), 128, np.uint8)
    planes = [grey, no_colour, no_colour]
    return write_patches(path, [planes], "yuv420p", codec="libx264", sar=sar)


@pytest.mark.parametrize(
    ("stored", "shown"), [(Fraction(2), (16, 64)), (Fraction(1, 2), (32, 32)), (None, (16, 32))]
)
def test_pixels_come_out_square(tmp_path, stored, shown):
    grey = np.repeat(np.linspace(40, 220, 32).astype(np.uint8)[None], 16, axis=0)
    path = write_shaped(tmp_path / "a.mp4", grey, stored)
    assert reelfit.probe(path).pixel_aspect == float(stored or 1)
    assert tuple(reelfit.decode(path, at=[0]).shape[2:]) == shown
    boxed = reelfit.decode(path, at=[0], size=64)[0, 0]
    filled = boxed > 0
    rows, columns = filled.any(1).sum().item(), filled.any(0).sum().item()
    assert rows / columns == shown[0] / shown[1]
    whole = reelfit.decode(path, at=[0], size=(64, 64), fit="centre_crop")[0, 0].float()
    kept = shown[0] / shown[1] if shown[1] > shown[0] else 1  # the share of the width that is seen
    assert abs((whole[:, -1] - whole[:, 0]).mean().item() / 210 - kept) < 0.1


def test_pixels_of_an_absurd_shape_are_refused():
    with pytest.raises(VideoError, match="too large: 19200 x 16 with pixels of 600 : 1"):
        square_size(16, 32, pixel_aspect=600.0)


def test_the_curves_of_high_dynamic_range_are_those_of_their_standards():
    # ST 2084 and BT.2408: 58 % of PQ and 75 % of HLG are reference white, 203 nits.
    np.testing.assert_allclose(
        from_pq(np.array([0.5081, 0.5807, 0.7518, 1])), [100, 203, 1000, 1e4], 1e-3
    )
    np.testing.assert_allclose(from_pq(to_pq(np.array([0.01, 1, 600.0]))), [0.01, 1, 600], 1e-9)
    assert abs(1000 * from_hlg(np.array([0.75])) ** 1.2 - 203) < 1
    np.testing.assert_allclose(from_hlg(np.array([0, 0.5, 1])), [0, 1 / 12, 1], atol=1e-7)


def test_light_is_drawn_together_without_losing_its_order():
    light = np.linspace(0, 1000, 5000)
    drawn = drawn_together(light)
    assert (np.diff(drawn) > 0).all()
    np.testing.assert_allclose(drawn[light <= 60], light[light <= 60], rtol=1e-6, atol=1e-6)
    assert abs(drawn[-1] - 203) < 1e-6
    assert drawn_together(np.array([9000.0]))[0] == drawn[-1]


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_grey_stays_grey_and_black_black_when_tones_are_mapped(transfer):
    ramp = np.repeat(np.arange(0, 65536, 32, dtype=np.uint16)[:, None, None], 3, axis=2)
    mapped = tone_mapped(ramp, transfer)[:, 0].astype(int)
    assert np.abs(mapped - mapped[:, :1]).max() <= 1
    assert (np.diff(mapped[:, 0]) >= 0).all()
    assert (mapped[0, 0], mapped[-1, 0]) == (0, 255)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_high_dynamic_range_is_mapped_or_refused_and_never_washed_out(tmp_path, transfer):
    white, dark = 64 + round(876 * (0.58 if transfer == PQ else 0.75)), 64 + round(876 * 0.15)
    frames = [patch_of((y, 512, 512), 16, 16, bits=10, halved=(2, 2)) for y in (white, dark)]
    path = write_patches(
        tmp_path / "a.mkv", frames, "yuv420p10le", tags=(9, LIMITED, transfer), codec="ffv1"
    )
    assert reelfit.probe(path).hdr
    seen = reelfit.decode(path, at=[0, 1])
    assert 215 <= seen[0].float().mean() <= 240  # reference white is nearly white
    assert 0 < seen[1].float().mean() < 50
    with pytest.raises(VideoError, match=r"high dynamic range: .*clips\.hdr"):
        reelfit.decode(path, at=[0], hdr="reject")


def test_a_random_crop_is_drawn_once_for_all_frames(tmp_path):
    ramp = np.repeat(np.arange(96, dtype=np.uint8)[None] * 2 + 20, 32, axis=0)
    path = write_patches(tmp_path / "a.mkv", [[ramp]] * 3, "gray")
    crops = [
        reelfit.decode(
            path, at=[0, 1, 2], size=32, fit="random_crop", generator=np.random.default_rng(seed)
        )
        for seed in (0, 0, 1, 2, 3, 4)
    ]
    assert torch.equal(crops[0], crops[1])
    assert all((crop == crop[:1]).all() for crop in crops)
    assert len({int(crop[0, 0, 0, 0]) for crop in crops}) >= 4
    with pytest.raises(ValueError, match="generator"):
        reelfit.decode(path, at=[0], size=32, fit="random_crop")
