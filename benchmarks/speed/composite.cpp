// SPDX-License-Identifier: GPL-3.0-or-later
// The compositing of solver/rasterization/cpu in C++ with vector extensions of GCC and Clang: the same algorithm on the
// same arrays, as a limit for what the Numba kernels could reach. Notation: solver/rasterization/cpu/layout.py.

#include <cstdint>
#include <cstring>

constexpr int TILE = 16, LANES = 8, BLOCKS = TILE * TILE / LANES, CHECK = 8, MOMENTS = 6, CHANNELS = 4;
constexpr float LOWEST = -7.9943534368588579f;  // log2(1/255)
constexpr float MAX_ALPHA = 0.999f, MIN_TRANSMITTANCE = 1e-4f;
enum { U_CELL, U_FRACTION, V_CELL, V_FRACTION, SHEAR, DECAY_I, DECAY_A, LOG2_OPACITY };

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t mask_t __attribute__((vector_size(4 * LANES)));

static inline vec splat(float x) { return vec{} + x; }
static inline vec choose(mask_t m, vec a, vec b) { return (vec)((m & (mask_t)a) | (~m & (mask_t)b)); }
static inline vec lower(vec a, vec b) { return choose(a < b, a, b); }
static inline vec absolute(vec a) { return (vec)((mask_t)a & 0x7fffffff); }

static inline vec power_of_two(vec q) {
    const vec x = choose(q > splat(-8.f), q, splat(-8.f));
    vec p = splat(0.0009387883366936227f / 32768);
    p = p * x + 0.009188611730800652f / 4096;
    p = p * x + 0.055279722581306416f / 512;
    p = p * x + 0.24017218924871156f / 64;
    p = p * x + 0.693142252593277f / 8;
    p = p * x + 0.9999999250635297f;
    p *= p;
    p *= p;
    return p * p;
}

static inline bool stopped(const vec* transmittance) {
    vec most = transmittance[0];
    for (int b = 1; b < BLOCKS; b++) most = choose(transmittance[b] > most, transmittance[b], most);
    for (int lane = 0; lane < LANES; lane++)
        if (most[lane] > 0) return false;
    return true;
}

struct Ellipse {
    float dx, dy, a, i, k, log2_opacity;
    Ellipse(const float* g, int left, int top)
        : dx(left - g[U_CELL] + 0.5f - g[U_FRACTION]), dy(top - g[V_CELL] + 0.5f - g[V_FRACTION]), a(g[DECAY_A]),
          i(g[DECAY_I]), k(g[SHEAR]), log2_opacity(g[LOG2_OPACITY]) {}
};

const vec OFFSETS = {0, 1, 2, 3, 4, 5, 6, 7};

struct Pair {
    uint32_t gaussian, mask;
};

static inline void fill_inside(vec* inside, int columns, int rows) {
    for (int b = 0; b < BLOCKS; b++) {
        const float end = b / 2 < rows ? columns - b % 2 * LANES : 0;
        inside[b] = choose(OFFSETS < splat(end), splat(1), vec{});
    }
}

static inline vec load(const float* plane, int b) {
    vec result;
    std::memcpy(&result, plane + LANES * b, sizeof result);
    return result;
}

extern "C" void composite(const float* geometry, const float* features, const Pair* pairs, const int64_t* offsets,
                          const float* background, float* colour_image, float* depth_image, float* alpha_image,
                          float* tile_planes, int width, int height) {
    const int across = (width + TILE - 1) / TILE, tiles = across * ((height + TILE - 1) / TILE);
    vec transmittance[BLOCKS], planes[CHANNELS][BLOCKS];
    for (int tile = 0; tile < tiles; tile++) {
        const int left = tile % across * TILE, top = tile / across * TILE;
        std::memset(planes, 0, sizeof planes);
        fill_inside(transmittance, width - left, height - top);
        for (int64_t pair = offsets[tile]; pair < offsets[tile + 1]; pair++) {
            if ((pair - offsets[tile]) % CHECK == 0 && stopped(transmittance)) break;
            const float* f = features + CHANNELS * int64_t(pairs[pair].gaussian);
            const Ellipse e(geometry + 8 * int64_t(pairs[pair].gaussian), left, top);
            for (uint32_t mask = pairs[pair].mask; mask; mask &= mask - 1) {
                const int b = __builtin_ctz(mask);
                const float dy = e.dy + (b >> 1);
                const vec w = e.dx + (b & 1) * LANES - e.k * dy + OFFSETS;
                const vec q = e.log2_opacity - e.i * dy * dy - e.a * w * w;
                const vec alpha = choose(q >= splat(LOWEST), lower(power_of_two(q), splat(MAX_ALPHA)), vec{});
                const vec before = transmittance[b];
                vec weight = alpha * before;
                const vec after = before - weight;
                const mask_t goes_on = after > splat(MIN_TRANSMITTANCE);
                weight = choose(goes_on, weight, vec{});
                transmittance[b] = choose(goes_on, after, -absolute(before));
                for (int c = 0; c < CHANNELS; c++) planes[c][b] += weight * f[c];
            }
        }
        for (int b = 0; b < BLOCKS; b++) transmittance[b] = absolute(transmittance[b]);
        float* left_behind = tile_planes + (1 + CHANNELS) * TILE * TILE * tile;
        std::memcpy(left_behind, transmittance, sizeof transmittance);
        std::memcpy(left_behind + TILE * TILE, planes, sizeof planes);
        for (int row = 0; row < TILE && top + row < height; row++)
            for (int column = 0; column < TILE && left + column < width; column++) {
                const int b = 2 * row + column / LANES, lane = column % LANES;
                const int64_t pixel = int64_t(top + row) * width + left + column;
                const float rest = transmittance[b][lane];
                for (int c = 0; c < 3; c++) colour_image[3 * pixel + c] = planes[c][b][lane] + rest * background[c];
                depth_image[pixel] = planes[3][b][lane];
                alpha_image[pixel] = 1 - rest;
            }
    }
}

extern "C" void composite_backward(const float* geometry, const float* features, const Pair* pairs,
                                   const int64_t* offsets, const float* background, const float* tile_planes,
                                   const float* v_colour_image, const float* v_depth_image,
                                   const float* v_alpha_image, float* moments, double* v_background, int width,
                                   int height) {
    const int across = (width + TILE - 1) / TILE, tiles = across * ((height + TILE - 1) / TILE);
    const int size = MOMENTS + CHANNELS;
    vec transmittance[BLOCKS], behind[BLOCKS], v_alphas[BLOCKS], v_features[CHANNELS][BLOCKS];
    for (int tile = 0; tile < tiles; tile++) {
        const int left = tile % across * TILE, top = tile / across * TILE;
        std::memset(v_alphas, 0, sizeof v_alphas);
        std::memset(v_features, 0, sizeof v_features);
        for (int row = 0; row < TILE && top + row < height; row++)
            for (int column = 0; column < TILE && left + column < width; column++) {
                const int b = 2 * row + column / LANES, lane = column % LANES;
                const int64_t pixel = int64_t(top + row) * width + left + column;
                float v_alpha = v_alpha_image[pixel];
                for (int c = 0; c < 3; c++) {
                    v_features[c][b][lane] = v_colour_image[3 * pixel + c];
                    v_alpha -= v_colour_image[3 * pixel + c] * background[c];
                }
                v_features[3][b][lane] = v_depth_image[pixel];
                v_alphas[b][lane] = v_alpha;
            }
        fill_inside(transmittance, width - left, height - top);
        const float* left_behind = tile_planes + (1 + CHANNELS) * TILE * TILE * tile;
        vec passed[3] = {};
        for (int b = 0; b < BLOCKS; b++) {
            const vec rest = load(left_behind, b);
            behind[b] = v_alphas[b] * (1.f - rest);
            for (int c = 0; c < CHANNELS; c++)
                behind[b] += v_features[c][b] * load(left_behind + (1 + c) * TILE * TILE, b);
            for (int c = 0; c < 3; c++) passed[c] += rest * v_features[c][b];
        }
        for (int c = 0; c < 3; c++) {
            v_background[3 * tile + c] = 0;
            for (int lane = 0; lane < LANES; lane++) v_background[3 * tile + c] += passed[c][lane];
        }
        for (int64_t pair = offsets[tile]; pair < offsets[tile + 1]; pair++) {
            if ((pair - offsets[tile]) % CHECK == 0 && stopped(transmittance)) {
                std::memset(moments + size * pair, 0, sizeof(float) * size * (offsets[tile + 1] - pair));
                break;
            }
            const float* f = features + CHANNELS * int64_t(pairs[pair].gaussian);
            const Ellipse e(geometry + 8 * int64_t(pairs[pair].gaussian), left, top);
            vec sums[MOMENTS + CHANNELS] = {};
            for (uint32_t mask = pairs[pair].mask; mask; mask &= mask - 1) {
                const int b = __builtin_ctz(mask);
                const float dy = e.dy + (b >> 1);
                const vec w = e.dx + (b & 1) * LANES - e.k * dy + OFFSETS;
                const vec q = e.log2_opacity - e.i * dy * dy - e.a * w * w;
                const vec p = power_of_two(q);
                const vec alpha = choose(q >= splat(LOWEST), lower(p, splat(MAX_ALPHA)), vec{});
                vec worth = v_alphas[b];
                for (int c = 0; c < CHANNELS; c++) worth += f[c] * v_features[c][b];
                const vec before = transmittance[b];
                vec weight = alpha * before;
                const vec after = before - weight;
                const mask_t goes_on = after > splat(MIN_TRANSMITTANCE);
                weight = choose(goes_on, weight, vec{});
                transmittance[b] = choose(goes_on, after, -absolute(before));
                const vec gain = weight * worth;
                behind[b] -= gain;
                vec v = gain - behind[b] * (alpha / (1.f - alpha));
                v = choose(goes_on & (p <= splat(MAX_ALPHA)), v, vec{});
                const vec v_w = v * w;
                sums[0] += v;
                sums[1] += v_w;
                sums[2] += v_w * w;
                sums[3] += v * dy;
                sums[4] += v * dy * dy;
                sums[5] += v_w * dy;
                for (int c = 0; c < CHANNELS; c++) sums[MOMENTS + c] += weight * v_features[c][b];
            }
            for (int m = 0; m < size; m++) {
                float total = 0;
                for (int lane = 0; lane < LANES; lane++) total += sums[m][lane];
                moments[size * pair + m] = total;
            }
        }
    }
}
