// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// A picture of the Mandelbrot set, with a task for each row. Rows in the middle take longest, and whoever is free gets the next one. The
// client takes them in the order in which they come, and puts each in its place.
//
// Run:    mpirun -np 5 ./mandelbrot [file]
//
// Without a file, the picture is written to mandelbrot.ppm.
//
// Output, where what stands in <> differs from run to run:
//   600 x 500 points in <mandelbrot.ppm>, checksum 33ccd315
//   rows of each engine: <131 131 126 112>

#include <rankview/rankview.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

namespace rv = rankview;

constexpr int width = 600;
constexpr int height = 500;
constexpr std::size_t row_bytes = 3 * width;
constexpr int limit = 60;  // steps after which a point counts as one of the set

using Bytes = std::vector<std::uint8_t>;

// After how many steps of z -> z^2 + c, beginning with 0, |z| is more than 2.
int steps(double cx, double cy) {
  double x = 0;
  double y = 0;
  int n = 0;
  for (; n < limit && x * x + y * y <= 4; ++n) {
    const double next = x * x - y * y + cx;
    y = 2 * x * y + cy;
    x = next;
  }
  return n;
}

// Red, green and blue of each point of a row. The picture is that of the numbers from -2 - 1.25i to 1 + 1.25i.
Bytes colours(int row) {
  Bytes bytes;
  for (int column = 0; column < width; ++column) {
    const double t = steps(3 * (column + 0.5) / width - 2, 2.5 * (row + 0.5) / height - 1.25) / double{limit};
    for (const double share : {9 * (1 - t) * t * t * t, 15 * (1 - t) * (1 - t) * t * t, 8.5 * (1 - t) * (1 - t) * (1 - t) * t})
      bytes.push_back(static_cast<std::uint8_t>(255 * share));
  }
  return bytes;
}

// FNV-1a.
std::uint32_t checksum(const Bytes& bytes) {
  std::uint32_t hash = 2166136261;
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 16777619;
  return hash;
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [=](rv::Client& rc) {
    if (argc > 2) throw std::invalid_argument("usage: mandelbrot [file]");
    const std::string path = argc == 2 ? argv[1] : "mandelbrot.ppm";
    std::ofstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot be written");

    const auto rows = rc.load_balanced_view().map(colours, std::views::iota(0, height));
    Bytes picture(row_bytes * height);
    std::vector<int> rows_of(rc.size());
    for (const auto& [row, bytes] : rows.as_completed()) {
      std::ranges::copy(bytes, &picture.at(row_bytes * row));
      ++rows_of.at(static_cast<std::size_t>(rows.metadata(row).engine));
    }

    file << "P6 " << width << ' ' << height << " 255\n";
    file.write(reinterpret_cast<const char*>(picture.data()), static_cast<std::streamsize>(picture.size()));
    if (!file.flush()) throw std::runtime_error(path + ": cannot be written");

    std::printf("%d x %d points in %s, checksum %08x\n", width, height, path.c_str(), checksum(picture));
    std::printf("rows of each engine:");
    for (const int count : rows_of) std::printf(" %d", count);
    std::printf("\n");
  });
}
