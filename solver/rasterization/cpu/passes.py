# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels that follow one another in one region, so that threads are woken once for all of them; they meet in between.

The arguments are those of the kernels called.
"""

from solver.kernels.board import meet
from solver.kernels.compilation import kernel
from solver.rasterization.cpu.backward import composite_backward
from solver.rasterization.cpu.binning import bin_gaussians
from solver.rasterization.cpu.forward import composite
from solver.rasterization.cpu.projection_backward import project_backward


@kernel(
    "void(float32[:,:,::1], float32[:,::1], boolean[::1], int32[:,::1], int32[:,:,::1], int64[::1], int64, int64,"
    "int32[::1], int64[::1], int64[:,::1], int64[:,::1], uint32[:,::1], int64[:,::1], int64[:,::1], uint32[:,::1],"
    "int64[::1], float32[::1], float32[:,:,::1], float32[:,::1], float32[:,::1], float32[:,:,::1],"
    "float32[:,:,:,::1], int64[::1], int64, int64)"
)
def bin_and_composite(
    geometry,  # [N, M, 8]
    features,  # [N, 4 + E]
    seen,  # [N]
    slot_counts,  # [N, M]
    boxes,  # [N, M, 4]
    chunk_slots,  # [chunks]
    width,
    height,
    order,  # [N]
    found,  # [1]
    slot_offsets,  # [N, M]
    slot_ends,  # [N, M]
    slots,  # [slots, 2]
    histograms,  # [parts, M tiles]
    starts,  # [parts, M tiles]
    pairs,  # [slots, 2]
    tile_offsets,  # [M tiles + 1]
    background,  # [3]
    colour_image,  # [H, W, 3]
    depth_image,  # [H, W]
    alpha_image,  # [H, W]
    extras_image,  # [H, W, E]
    tile_planes,  # [M, tiles, 5 + E, 256]
    board,
    part,
    parts,
):
    """From ellipses to the image."""
    if bin_gaussians(
        geometry,
        features,
        seen,
        slot_counts,
        boxes,
        chunk_slots,
        width,
        height,
        order,
        found,
        slot_offsets,
        slot_ends,
        slots,
        histograms,
        starts,
        pairs,
        tile_offsets,
        board,
        part,
        parts,
    ):
        composite(
            geometry,
            features,
            pairs,
            tile_offsets,
            background,
            colour_image,
            depth_image,
            alpha_image,
            extras_image,
            tile_planes,
            board,
        )


@kernel(
    "void(float32[:,:,::1], uint32[:,::1], int64[::1], float32[::1], float32[:,:,:,::1],"
    "float32[:,:,::1], float32[:,::1], float32[:,::1], float32[:,:,::1], float64[:,::1],"
    "float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], float32[:,:,::1], float32[:,:,::1],"
    "float64[::1], float64[:,::1], float64, int64, int64, int64, float64, boolean,"
    "float32[:,::1], float32[:,::1], int64[:,::1], int64[:,::1], uint32[:,::1],"
    "float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], float32[:,:,::1], float32[:,:,::1],"
    "float32[:,::1], float64[:,::1], int64[::1], int64)"
)
def differentiate(
    geometry,  # [N, M, 8]
    pairs,  # [P, 2]
    tile_offsets,  # [M tiles + 1]
    background,  # [3]
    tile_planes,  # [M, tiles, 5 + E, 256]
    v_colour_image,  # [H, W, 3]
    v_depth_image,  # [H, W]
    v_alpha_image,  # [H, W]
    v_extras_image,  # [H, W, E]
    v_background,  # [tiles, 3]
    means,  # [N, 3]
    quaternions,  # [N, 4]
    scales,  # [N, 3]
    opacities,  # [N]
    sh_constant,  # [N, 1, 3]
    sh_rest,  # [N, S - 1, 3]
    camera,  # [21]
    samples,  # [M, 2]
    residual,
    width,
    height,
    sh_degree,
    eps2d,
    antialiased,
    features,  # [N, 4 + E]
    moments,  # [P, 10 + E]
    slot_offsets,  # [N, M]
    slot_ends,  # [N, M]
    slots,  # [slots, 2]
    v_means,  # [N, 3]
    v_quaternions,  # [N, 4]
    v_scales,  # [N, 3]
    v_opacities,  # [N]
    v_sh_constant,  # [N, 1, 3]
    v_sh_rest,  # [N, S - 1, 3]
    v_extras,  # [N, E]
    v_camera,  # [chunks, 21]
    board,
    parts,
):
    """From the image's gradient to that of Gaussians, camera and background."""
    composite_backward(
        geometry,
        features,
        pairs,
        tile_offsets,
        background,
        tile_planes,
        v_colour_image,
        v_depth_image,
        v_alpha_image,
        v_extras_image,
        width,
        height,
        moments,
        v_background,
        board,
    )
    if not meet(board, parts):
        return
    project_backward(
        means,
        quaternions,
        scales,
        opacities,
        sh_constant,
        sh_rest,
        camera,
        samples,
        residual,
        width,
        height,
        sh_degree,
        eps2d,
        antialiased,
        features,
        moments,
        slot_offsets,
        slot_ends,
        slots,
        v_means,
        v_quaternions,
        v_scales,
        v_opacities,
        v_sh_constant,
        v_sh_rest,
        v_extras,
        v_camera,
        board,
    )
